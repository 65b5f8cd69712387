import type Database from 'better-sqlite3';
import { checkNewRevocation, checkRevocationPage, revocationOf, type RevocationRow } from '../../rows/revocation-rows.ts';
import { DELETE_MAX_REVOCATIONS, KEPT_ENDED_REVOCATIONS_MS, MAX_REVOCATIONS, type NewRevocation, type Revocation, type RevocationPage, type RevocationStore } from '../../contracts/revocation-store.ts';
import type { LogStateQuery } from '../files/log-state.ts';
import type { CallEffects, CallTable, PerformCall } from './side-call.ts';

/** The calls of `RevocationStore`. */
export interface RevocationCalls {
  listRevocations: { argument: { readonly after: number; readonly limit: number }; answer: RevocationPage };
  revoke: { argument: NewRevocation; answer: Revocation | undefined };
}

export const REVOCATION_EFFECTS: CallEffects<RevocationCalls> = {
  listRevocations: 'read',
  revoke: 'commit',
};

const COLUMNS = 'kind, name, before, created, ends, version';

export interface RevocationsDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Reads and makes revocations, inside the caller's transaction. */
export class Revocations implements CallTable<RevocationCalls> {
  readonly #logState: LogStateQuery;
  readonly #version: Database.Statement<[], number>;
  readonly #takeVersion: Database.Statement<[], number>;
  readonly #after: Database.Statement<[number, number], RevocationRow>;
  readonly #find: Database.Statement<[string, string], RevocationRow>;
  readonly #count: Database.Statement<[], number>;
  readonly #deleteEnded: Database.Statement<[number]>;
  readonly #revoke: Database.Statement<[string, string, number | null, number, number, number]>;

  constructor({ db, logState }: RevocationsDependencies) {
    this.#logState = logState;
    this.#version = db.prepare<[], number>('SELECT version FROM revocation_list').pluck();
    this.#takeVersion = db.prepare<[], number>('UPDATE revocation_list SET version = version + 1 RETURNING version').pluck();
    this.#after = db.prepare(`SELECT ${COLUMNS} FROM revocations WHERE version > ? ORDER BY version LIMIT ?`);
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM revocations WHERE kind = ? AND name = ?`);
    this.#count = db.prepare<[], number>('SELECT count(*) FROM revocations').pluck();
    this.#deleteEnded = db.prepare(`DELETE FROM revocations WHERE rowid IN (SELECT rowid FROM revocations WHERE ends <= ? ORDER BY ends LIMIT ${DELETE_MAX_REVOCATIONS})`);
    this.#revoke = db.prepare(`INSERT INTO revocations (kind, name, before, created, ends, version) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (kind, name) DO UPDATE SET before = max(before, excluded.before), created = excluded.created, ends = max(ends, excluded.ends), version = excluded.version`);
  }

  listRevocations(page: { readonly after: number; readonly limit: number }): RevocationPage {
    checkRevocationPage(page);
    return { revocations: this.#after.all(page.after, page.limit).map(revocationOf), version: this.#version.get()! };
  }

  revoke(revocation: NewRevocation): Revocation | undefined {
    checkNewRevocation(revocation);
    const { kind, name, before: given, lifetimeMs } = revocation;
    const now = Date.now();
    this.#deleteEnded.run(this.#logState.believed() - KEPT_ENDED_REVOCATIONS_MS);
    if (kind !== 'all' && this.#find.get(kind, name) === undefined && this.#count.get()! >= MAX_REVOCATIONS) return undefined;
    const before = given ?? now;
    this.#revoke.run(kind, name, kind === 'jti' ? null : before, now, before + lifetimeMs, this.#takeVersion.get()!);
    return revocationOf(this.#find.get(kind, name)!);
  }
}

/** The main thread's end: turns each method into a call of `Revocations`. */
export class SqliteRevocationStore implements RevocationStore {
  readonly #call: PerformCall<RevocationCalls>;

  constructor(call: PerformCall<RevocationCalls>) {
    this.#call = call;
  }

  listRevocations(page: { readonly after: number; readonly limit: number }): Promise<RevocationPage> {
    return this.#call('listRevocations', page);
  }

  revoke(revocation: NewRevocation): Promise<Revocation | undefined> {
    return this.#call('revoke', revocation);
  }
}
