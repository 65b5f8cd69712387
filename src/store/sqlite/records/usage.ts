import type Database from 'better-sqlite3';
import { holdingsText, stretchOf, type UsageRow } from '../../rows/usage-rows.ts';
import { USAGE_MAX_ENTRIES, USAGE_PAGE_ENTRIES, type UsageChanges, type UsageStore, type UsageStretch } from '../../contracts/usage-store.ts';
import type { LogStateQuery } from '../files/log-state.ts';
import type { CallEffects, CallTable, PerformCall } from './side-call.ts';

/** The calls of `UsageStore`. */
export interface UsageCalls {
  writeUsage: { argument: { readonly stretches: readonly UsageStretch[] }; answer: void };
  usageChanges: { argument: { readonly after: number }; answer: UsageChanges };
}

export const USAGE_EFFECTS: CallEffects<UsageCalls> = {
  usageChanges: 'read',
  writeUsage: 'write',
};

/** Reads and writes stretches, inside the caller's transaction. */
export class Usage implements CallTable<UsageCalls> {
  readonly #logState: LogStateQuery;
  readonly #newest: Database.Statement<[], number>;
  readonly #write: Database.Statement<unknown[]>;
  readonly #forgetDeleted: Database.Statement<[number]>;
  readonly #forgetOldest: Database.Statement<[number]>;
  readonly #alive: Database.Statement<[], [string, number]>;
  readonly #changed: Database.Statement<[number, number], UsageRow>;

  constructor({ db, logState }: { readonly db: Database.Database; readonly logState: LogStateQuery }) {
    this.#logState = logState;
    this.#newest = db.prepare<[], number>('SELECT coalesce(max(version), 0) FROM usage').pluck();
    this.#write = db.prepare('INSERT OR REPLACE INTO usage (id, version, first, last, topics, senders) VALUES (?, ?, ?, ?, ?, ?)');
    this.#forgetDeleted = db.prepare('DELETE FROM usage WHERE last < ?');
    this.#forgetOldest = db.prepare('DELETE FROM usage WHERE id IN (SELECT id FROM usage ORDER BY last DESC, id LIMIT -1 OFFSET ?)');
    this.#alive = db.prepare<[], [string, number]>('SELECT id, version FROM usage').raw();
    this.#changed = db.prepare('SELECT id, version, first, last, topics, senders FROM usage WHERE version > ? ORDER BY version LIMIT ?');
  }

  writeUsage({ stretches }: { readonly stretches: readonly UsageStretch[] }): void {
    let version = this.#newest.get()!;
    for (const { id, first, last, topics, senders } of stretches) this.#write.run(id, ++version, first, last, holdingsText(topics), holdingsText(senders));
    this.#forgetDeleted.run(this.#logState.row().oldest);
    this.#forgetOldest.run(USAGE_MAX_ENTRIES);
  }

  usageChanges({ after }: { readonly after: number }): UsageChanges {
    return { alive: this.#alive.all(), changed: this.#changed.all(after, USAGE_PAGE_ENTRIES).map(stretchOf) };
  }
}

/** The main thread's end: turns each method into a call of `Usage`. */
export class SqliteUsageStore implements UsageStore {
  readonly #call: PerformCall<UsageCalls>;

  constructor(call: PerformCall<UsageCalls>) {
    this.#call = call;
  }

  write(stretches: readonly UsageStretch[]): Promise<void> {
    return this.#call('writeUsage', { stretches });
  }

  changes(after: number): Promise<UsageChanges> {
    return this.#call('usageChanges', { after });
  }
}
