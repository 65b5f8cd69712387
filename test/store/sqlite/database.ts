import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { NEVER_MS } from '../../../src/store/rows/key-rows.ts';
import type { OpenedKeyStore } from '../../../src/store/contracts/key-store.ts';
import { openKeyStore } from '../../../src/store/sqlite/open-key-store.ts';
import { SqliteStore, type SqliteOptions } from '../../../src/store/sqlite/sqlite.ts';
import type { KeyDatabase } from '../../contract/key-store-kit.ts';
import { FILLED_ORIGIN, type SessionDatabase } from '../../contract/session-store.ts';
import type { TicketDatabase } from '../../contract/ticket-store.ts';
import '../../support/bare-threads.ts';
import { Child } from '../../support/child.ts';
import { COMPILE_CACHE } from '../../support/compile-cache.ts';
import { recordingLogger } from '../../support/logger.ts';
import { tempFolder, type Scope } from '../../support/temp.ts';

/** A database file in a folder of its own. */
export class SqliteDatabase implements KeyDatabase, SessionDatabase, TicketDatabase {
  readonly file: string;
  /** What its stores logged. */
  readonly lines: string[];
  readonly #options: SqliteOptions;

  constructor(t: Scope, options: { lockWaitMs?: number } = {}) {
    const { logger, lines } = recordingLogger();
    this.file = join(tempFolder(t), 'tidings.db');
    this.lines = lines;
    this.#options = { ...options, file: this.file, logger };
  }

  store(): SqliteStore {
    return new SqliteStore(this.#options);
  }

  async backup(): Promise<() => Promise<void>> {
    const copy = `${this.file}.copy`;
    copyFileSync(this.file, copy);
    return async () => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(this.file + suffix, { force: true });
      copyFileSync(copy, this.file);
    };
  }

  async clockWasAhead(milliseconds: number): Promise<void> {
    this.direct((db) => db.prepare('UPDATE head SET time = ?').run(Date.now() + milliseconds));
  }

  async clockJumped(milliseconds: number): Promise<void> {
    this.direct((db) => db.exec(`UPDATE head SET time = time - ${milliseconds}; UPDATE retention SET time = time - ${milliseconds}, clock = clock - ${milliseconds};
      UPDATE messages SET time = time - ${milliseconds}, expires = CASE expires WHEN 0 THEN 0 ELSE expires - ${milliseconds} END;
      UPDATE keys SET time = time - ${milliseconds}, expires = expires - ${milliseconds}`));
  }

  async beginEpochs(count: number): Promise<void> {
    this.direct((db) => db.exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
      INSERT INTO epochs (epoch, first) SELECT 'crashed' || head.seq || 'x' || n, head.seq + 1 FROM numbers, head;
      UPDATE head SET epoch = (SELECT max(id) FROM epochs)`));
  }

  async setLevel(level: number): Promise<void> {
    this.direct((db) => db.prepare('UPDATE head SET level = ?').run(level));
  }

  command(): Promise<OpenedKeyStore> {
    return openKeyStore(this.file);
  }

  async fillKeys(from: number, to: number, isEnded: boolean): Promise<void> {
    this.direct((db) => db.exec(`WITH RECURSIVE numbers (n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM numbers WHERE n < ${to})
      INSERT INTO api_keys (id, version, ends, revoked, created, digest, name, permissions)
      SELECT format('filled%06d', n), n - ${from - 1} + (SELECT version FROM access), ${isEnded ? `${Date.now() - to} + n, ${Date.now() - to} + n` : `${NEVER_MS}, NULL`}, ${Date.now()},
        zeroblob(32), '', '{"publish":[],"subscribe":[],"admin":false}' FROM numbers;
      UPDATE access SET version = version + ${to - from + 1}`));
  }

  async ageKeys(milliseconds: number, id?: string): Promise<void> {
    this.direct((db) => db.exec(`UPDATE api_keys SET created = created - ${milliseconds}, expires = expires - ${milliseconds}, revoked = revoked - ${milliseconds},
      old_expires = old_expires - ${milliseconds}, last_used = last_used - ${milliseconds}, ends = CASE ends WHEN ${NEVER_MS} THEN ends ELSE ends - ${milliseconds} END ${id === undefined ? '' : `WHERE id = '${id}'`}`));
  }

  async fillRevocations(count: number, ends: number): Promise<void> {
    this.direct((db) => db.exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
      INSERT INTO revocations (kind, name, created, ends, version) SELECT 'jti', 'filled ${ends} ' || n, 0, ${ends}, n + (SELECT version FROM revocation_list) FROM numbers;
      UPDATE revocation_list SET version = version + ${count}`));
  }

  async fillSessions(count: number): Promise<void> {
    this.direct((db) => db.exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
      INSERT INTO sessions (id, digest, created, expires, owner, origin)
      SELECT format('filled%06d', n), zeroblob(32), ${Date.now()}, ${Date.now() + 3_600_000 - count} + n, 'sub:' || n, '${FILLED_ORIGIN}' FROM numbers;
      UPDATE session_state SET held = held + ${count}`));
  }

  async ageSessions(milliseconds: number): Promise<void> {
    this.direct((db) => db.exec(`UPDATE sessions SET created = created - ${milliseconds}, expires = expires - ${milliseconds}`));
  }

  async fillTickets(count: number, owner: string): Promise<void> {
    this.direct((db) => db.exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
      INSERT INTO tickets (id, generation, ends, until, guarded, digest, owner, session, origin, topics)
      SELECT 'filled' || n, n, ${Date.now() + 3_600_000}, ${Date.now() + 3_600_000}, 0, zeroblob(32), '${owner}', NULL, '${FILLED_ORIGIN}', '[]' FROM numbers;
      UPDATE ticket_state SET held = held + ${count}`));
  }

  async ageTickets(milliseconds: number): Promise<void> {
    this.direct((db) => db.exec(`UPDATE tickets SET ends = ends - ${milliseconds}`));
  }

  async countTickets(): Promise<number> {
    return this.direct((db) => {
      const [count, held] = db.prepare('SELECT (SELECT count(*) FROM tickets), held FROM ticket_state').raw().get() as [number, number];
      if (count !== held) throw new Error(`${count} tickets are held, and ${held} were counted`);
      return count;
    });
  }

  async countTicketsAs(held: number): Promise<void> {
    this.direct((db) => db.exec(`UPDATE ticket_state SET held = ${held}`));
  }

  async countSessions(): Promise<number> {
    return this.direct((db) => {
      const [count, held] = db.prepare('SELECT (SELECT count(*) FROM sessions), held FROM session_state').raw().get() as [number, number];
      if (count !== held) throw new Error(`${count} sessions are held, and ${held} were counted`);
      return count;
    });
  }

  async fillEnds(count: number): Promise<void> {
    this.direct((db) => db.exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
      INSERT INTO session_ends (version, id) SELECT n + (SELECT version FROM session_state), 'filled' || n FROM numbers;
      UPDATE session_state SET version = version + ${count}`));
  }

  async countEnds(): Promise<number> {
    return this.direct((db) => db.prepare<[], number>('SELECT count(*) FROM session_ends').pluck().get()!);
  }

  /** Does something to the file past the store. */
  direct<T>(action: (db: Database.Database) => T): T {
    const db = new Database(this.file);
    try {
      return action(db);
    } finally {
      db.close();
    }
  }
}

const CHILD = join(import.meta.dirname, 'child.ts');

/** Starts child.ts, through another program if one is named: `child(t, ['open', file], 'strace', '-f')`. */
export function child(t: Scope, args: readonly string[], ...through: readonly string[]): Child {
  const [command, ...rest] = [...through, process.execPath, CHILD, ...args];
  return new Child(t, command!, rest, { env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILE_CACHE } });
}
