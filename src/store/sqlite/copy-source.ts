import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type Database from 'better-sqlite3';
import { Lineage } from '../../model/epochs.ts';
import type { CopiedKind, CopiedRow, CopiedTable } from '../copied-rows.ts';
import { MOVED_LEVELS, openLevel, refuseLevel } from '../level.ts';
import type { CopiedMessage, CopySource, KeyPosition, SourceState } from '../copy-contract.ts';
import { missingMigrations } from '../migrations.ts';
import { StoreError } from '../store.ts';
import { connect, disconnect, monotonic, patiently, type SqliteConnection } from './files/connection.ts';
import { toCommitError, toStoreError } from './files/errors.ts';
import { appliedMigrations, refuseForeign } from './files/migrate.ts';

/** How long one call waits for another process to release the database. */
const COPY_LOCK_MS = 10_000;
/** The most messages, bytes of data, and keys of one batch. Bounds the memory of a copy, and the work that is repeated after a crash. */
const COPIED_BATCH_MAX_MESSAGES = 2_000;
const COPIED_BATCH_MAX_BYTES = 4 * 1024 * 1024;
const BATCH_MAX_KEYS = 2_000;

interface MessageRow {
  readonly seq: number;
  readonly epoch: string | null;
  readonly time: number;
  readonly expires: number;
  readonly topic: string;
  readonly event: string | null;
  readonly json: number;
  readonly data: Buffer;
}

/** The SQLite log that `tidings copy` reads; instances may use it. Each call has its own short transaction, because a long one would prevent checkpoints. After `hold`, all calls are in one transaction. */
export class SqliteCopySource implements CopySource {
  readonly #sqliteConnection: SqliteConnection;
  readonly #state: Database.Statement<[], Omit<SourceState, 'isMoved'>>;
  readonly #messages: Database.Statement<[number, number], MessageRow>;
  readonly #epochs: Database.Statement<[], { readonly epoch: string; readonly first: number }>;
  readonly #newKeys: Database.Statement<[number], CopiedRow>;
  readonly #firstKeys: Database.Statement<[], CopiedRow>;
  readonly #laterKeys: Database.Statement<[string, string], CopiedRow>;

  /** @param file An existing log. Only `seal` changes it. */
  constructor(file: string) {
    if (!existsSync(file)) throw new StoreError('unavailable', `${resolve(file)}: there is no such file`);
    this.#sqliteConnection = call(() => connect(resolve(file), deadline(), { inspect: inspectLog }));
    const { db } = this.#sqliteConnection;
    this.#state = db.prepare(`SELECT head.log AS logId, head.level, head.seq AS head, head.time, retention.oldest, retention.time AS deletedTime, retention.clock,
      (SELECT epoch FROM epochs WHERE id = head.epoch) AS epoch, coalesce((SELECT min(id) FROM keys), 0) AS oldestKey, coalesce((SELECT max(id) FROM keys), 0) AS newestKey FROM head, retention`);
    this.#messages = db.prepare('SELECT seq, (SELECT epoch FROM epochs WHERE id = messages.epoch) AS epoch, time, expires, topic, event, json, data FROM messages WHERE seq > ? AND seq <= ? ORDER BY seq');
    this.#epochs = db.prepare('SELECT epoch, first FROM epochs ORDER BY id');
    const keys = `SELECT CAST(id AS TEXT), scope, key, lower(hex(fingerprint)), (SELECT epoch FROM epochs WHERE id = keys.epoch), CAST(first AS TEXT), CAST(time AS TEXT), CAST(expires AS TEXT) FROM keys`;
    this.#newKeys = db.prepare<[number], CopiedRow>(`${keys} WHERE id > ? ORDER BY id LIMIT ${BATCH_MAX_KEYS}`).raw();
    this.#firstKeys = db.prepare<[], CopiedRow>(`${keys} ORDER BY scope, key LIMIT ${BATCH_MAX_KEYS}`).raw();
    this.#laterKeys = db.prepare<[string, string], CopiedRow>(`${keys} WHERE (scope, key) > (?, ?) ORDER BY scope, key LIMIT ${BATCH_MAX_KEYS}`).raw();
  }

  hold(): void {
    call(() => patiently(deadline(), () => this.#sqliteConnection.beginImmediate.run()));
  }

  state(): SourceState {
    const row = this.#read(() => this.#state.get()!);
    return { ...row, level: openLevel(row.level), isMoved: row.level >= MOVED_LEVELS };
  }

  messages(after: number, through: number): readonly CopiedMessage[] {
    return this.#read(() => {
      const lineage = new Lineage(this.#epochs.all());
      const batch: CopiedMessage[] = [];
      let bytes = 0;
      for (const row of this.#messages.iterate(after, through)) {
        // The first message of the batch follows `after`, unless retention has deleted messages after it.
        const before = batch.at(-1)?.seq ?? Math.max(after, this.#state.get()!.oldest - 1);
        if (row.seq !== before + 1 || row.epoch !== lineage.at(row.seq).epoch) throw new StoreError('unavailable', `the source is damaged: the message ${row.seq} is not where it belongs`);
        batch.push({ seq: row.seq, row: [String(row.seq), String(row.time), String(row.expires), String(row.json), row.topic, row.event], data: row.data });
        bytes += row.data.length;
        if (batch.length >= COPIED_BATCH_MAX_MESSAGES || bytes >= COPIED_BATCH_MAX_BYTES) break;
      }
      return batch;
    });
  }

  newKeys(after: number): readonly CopiedRow[] {
    return this.#read(() => this.#newKeys.all(after));
  }

  keys(after: KeyPosition | undefined): readonly CopiedRow[] {
    return this.#read(() => (after === undefined ? this.#firstKeys.all() : this.#laterKeys.all(...after)));
  }

  rows({ name, columns, order }: CopiedTable): Iterable<CopiedRow> {
    const list = Object.entries(columns).map(([column, kind]) => textOf(column, kind));
    return this.#read(() => this.#sqliteConnection.db.prepare<[], CopiedRow>(`SELECT ${list.join(', ')} FROM ${name} ORDER BY ${order.join(', ')}`).raw().all());
  }

  seal(): void {
    const { db, files, commit } = this.#sqliteConnection;
    call(() => {
      db.prepare('UPDATE head SET level = level + ? WHERE level < ?').run(MOVED_LEVELS, MOVED_LEVELS);
      files.look();
    });
    try {
      commit.run();
    } catch (error) {
      throw toCommitError(error);
    }
  }

  close(): void {
    disconnect(this.#sqliteConnection);
  }

  /** Everything that `body` reads is from one snapshot. */
  #read<Result>(body: () => Result): Result {
    const { db, files, begin, rollback } = this.#sqliteConnection;
    return call(() => patiently(deadline(), () => {
      const isHeld = db.inTransaction;
      if (!isHeld) begin.run();
      try {
        return body();
      } finally {
        if (!isHeld) rollback.run();
        files.look();
      }
    }));
  }
}

/** Throws if a file is no log that this program can copy. Never migrates it, because instances of another version may use it. */
function inspectLog(db: Database.Database): void {
  refuseForeign(db);
  const missing = missingMigrations('sqlite', appliedMigrations(db));
  const level = missing.length > 0 ? undefined : db.prepare<[], number>('SELECT level FROM head').pluck().get();
  if (appliedMigrations(db).length > 0 && missing.length > 0) throw new StoreError('unavailable', 'the schema of the source is that of an earlier version: run npm run migrate with its DATABASE_URL first');
  if (level === undefined) throw new StoreError('unavailable', 'no instance has opened the source yet: there is nothing to copy');
  refuseLevel(openLevel(level));
}

function textOf(column: string, kind: CopiedKind): string {
  const name = `"${column}"`;
  if (kind === 'bytes') return `CASE WHEN ${name} IS NOT NULL THEN lower(hex(${name})) END`;
  return kind === 'text' ? name : `CAST(${name} AS TEXT)`;
}

function call<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  }
}

function deadline(): number {
  return monotonic() + COPY_LOCK_MS;
}
