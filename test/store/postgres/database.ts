import pg from 'pg';
import { NEVER_MS } from '../../../src/store/rows/key-rows.ts';
import type { OpenedKeyStore } from '../../../src/store/contracts/key-store.ts';
import { openKeyStore } from '../../../src/store/postgres/open-key-store.ts';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { LOCK_MS } from '../../../src/store/postgres/connection/transaction-settings.ts';
import type { KeyDatabase } from '../../contract/key-store-kit.ts';
import { FILLED_ORIGIN, type SessionDatabase } from '../../contract/session-store.ts';
import type { TicketDatabase } from '../../contract/ticket-store.ts';
import { quietLogger } from '../../support/logger.ts';
import type { PostgresServer } from '../../support/postgres.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

/** A database of a test's own. */
export class PostgresDatabase implements KeyDatabase, SessionDatabase, TicketDatabase {
  readonly server: PostgresServer;
  readonly name: string;

  private constructor(server: PostgresServer, name: string) {
    this.server = server;
    this.name = name;
  }

  static async create(server: PostgresServer): Promise<PostgresDatabase> {
    return new PostgresDatabase(server, await server.database());
  }

  get url(): string {
    return this.server.url(this.name);
  }

  store(options: { vacuumBytes?: number } = {}): PostgresStore {
    return new PostgresStore({ url: this.url, maxPgConnections: 4, logger: quietLogger, ...options });
  }

  async backup(): Promise<() => Promise<void>> {
    await this.#alone(`CREATE DATABASE ${this.name}_copy TEMPLATE ${this.name}`);
    return async () => {
      await this.#alone(`DROP DATABASE ${this.name}`);
      await this.#alone(`ALTER DATABASE ${this.name}_copy RENAME TO ${this.name}`);
    };
  }

  /** Asks for what may be done only while nobody is in the database. Connections that were ended are there a little longer, for the server. */
  async #alone(text: string): Promise<void> {
    await until('the last connection has ended', async () => {
      try {
        await this.server.ask('postgres', text);
        return true;
      } catch (error) {
        if (error instanceof pg.DatabaseError && error.code === '55006') return false;
        throw error;
      }
    });
  }

  /** Waits until so many of its connections wait for a lock, or a call that should wait is over. */
  async locked(count: number, call?: Promise<unknown>): Promise<void> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    call?.then(over, over);
    await until('it waits for the lock', async () => {
      const [[waiting] = []] = await this.ask(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${this.name}' AND wait_event_type = 'Lock'`);
      return isOver || Number(waiting) === count;
    });
  }

  async clockWasAhead(milliseconds: number): Promise<void> {
    await this.ask(`UPDATE tidings.head SET time = ${Date.now() + milliseconds}`);
  }

  async clockJumped(milliseconds: number): Promise<void> {
    await this.ask(`UPDATE tidings.head SET time = time - ${milliseconds}; UPDATE tidings.retention SET time = time - ${milliseconds}, clock = clock - ${milliseconds};
      UPDATE tidings.messages SET time = time - ${milliseconds}, expires = CASE expires WHEN 0 THEN 0 ELSE expires - ${milliseconds} END;
      UPDATE tidings.keys SET time = time - ${milliseconds}, expires = expires - ${milliseconds}`);
  }

  async beginEpochs(count: number): Promise<void> {
    await this.ask(`INSERT INTO tidings.epochs (id, epoch, first) SELECT (SELECT max(id) FROM tidings.epochs) + n, 'crashed' || h.seq || 'x' || n, h.seq + 1 FROM generate_series(1, ${count}) n, tidings.head h;
      UPDATE tidings.head SET epoch = (SELECT epoch FROM tidings.epochs ORDER BY id DESC LIMIT 1)`);
  }

  async setLevel(level: number): Promise<void> {
    await this.ask(`UPDATE tidings.head SET level = ${level}`);
  }

  command(): Promise<OpenedKeyStore> {
    return openKeyStore(this.url);
  }

  async fillKeys(from: number, to: number, isEnded: boolean): Promise<void> {
    await this.ask(`INSERT INTO tidings.api_keys (id, version, ends, revoked, created, digest, name, permissions)
      SELECT 'filled' || lpad(n::text, 6, '0'), n - ${from - 1} + a.version, ${isEnded ? `${Date.now() - to} + n, ${Date.now() - to} + n` : `${NEVER_MS}, NULL`}, ${Date.now()},
        decode(repeat('00', 32), 'hex'), '', '{"publish":[],"subscribe":[],"admin":false}' FROM generate_series(${from}, ${to}) n, tidings.access a;
      UPDATE tidings.access SET version = version + ${to - from + 1}`);
  }

  async ageKeys(milliseconds: number, id?: string): Promise<void> {
    await this.ask(`UPDATE tidings.api_keys SET created = created - ${milliseconds}, expires = expires - ${milliseconds}, revoked = revoked - ${milliseconds},
      old_expires = old_expires - ${milliseconds}, last_used = last_used - ${milliseconds}, ends = CASE ends WHEN ${NEVER_MS} THEN ends ELSE ends - ${milliseconds} END ${id === undefined ? '' : `WHERE id = '${id}'`}`);
  }

  async fillRevocations(count: number, ends: number): Promise<void> {
    await this.ask(`INSERT INTO tidings.revocations (kind, name, created, ends, version) SELECT 'jti', 'filled ${ends} ' || n, 0, ${ends}, n + l.version FROM generate_series(1, ${count}) n, tidings.revocation_list l;
      UPDATE tidings.revocation_list SET version = version + ${count}`);
  }

  /** How many rows of a table were read, once the server has counted all that were added. It counts what a connection has done at its end, at the latest. */
  async rowsRead(table: string, added: number): Promise<number> {
    let read = 0;
    await until('the server has counted', async () => {
      const [[inserted, rows] = []] = await this.ask(`SELECT n_tup_ins, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = '${table}'`);
      read = Number(rows);
      return Number(inserted) === added;
    });
    return read;
  }

  async fillSessions(count: number): Promise<void> {
    await this.ask(`INSERT INTO tidings.sessions (id, digest, created, expires, owner, origin)
      SELECT 'filled' || lpad(n::text, 6, '0'), decode(repeat('00', 32), 'hex'), ${Date.now()}, ${Date.now() + 3_600_000 - count} + n, 'sub:' || n, '${FILLED_ORIGIN}' FROM generate_series(1, ${count}) n;
      UPDATE tidings.session_state SET held = held + ${count}`);
  }

  async ageSessions(milliseconds: number): Promise<void> {
    await this.ask(`UPDATE tidings.sessions SET created = created - ${milliseconds}, expires = expires - ${milliseconds}`);
  }

  async fillTickets(count: number, owner: string): Promise<void> {
    await this.ask(`INSERT INTO tidings.tickets (id, generation, ends, until, guarded, digest, owner, session, origin, topics)
      SELECT 'filled' || n, n, ${Date.now() + 3_600_000}, ${Date.now() + 3_600_000}, false, '', '${owner}', NULL, '${FILLED_ORIGIN}', '[]' FROM generate_series(1, ${count}) n;
      UPDATE tidings.ticket_state SET held = held + ${count}`);
  }

  async ageTickets(milliseconds: number): Promise<void> {
    await this.ask(`UPDATE tidings.tickets SET ends = ends - ${milliseconds}`);
  }

  async countTickets(): Promise<number> {
    const [[count, held] = []] = await this.ask('SELECT (SELECT count(*) FROM tidings.tickets), held FROM tidings.ticket_state');
    if (count !== held) throw new Error(`${String(count)} tickets are held, and ${String(held)} were counted`);
    return Number(count);
  }

  async countTicketsAs(held: number): Promise<void> {
    await this.ask(`UPDATE tidings.ticket_state SET held = ${held}`);
  }

  async countSessions(): Promise<number> {
    const [[count, held] = []] = await this.ask('SELECT (SELECT count(*) FROM tidings.sessions), held FROM tidings.session_state');
    if (count !== held) throw new Error(`${String(count)} sessions are held, and ${String(held)} were counted`);
    return Number(count);
  }

  async fillEnds(count: number): Promise<void> {
    await this.ask(`INSERT INTO tidings.session_ends (version, id) SELECT n + a.version, 'filled' || n FROM generate_series(1, ${count}) n, tidings.session_state a;
      UPDATE tidings.session_state SET version = version + ${count}`);
  }

  async countEnds(): Promise<number> {
    const [[count] = []] = await this.ask('SELECT count(*) FROM tidings.session_ends');
    return Number(count);
  }

  /** A client past the stores, which goes away with the test. */
  async client(t: Scope, config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({ ...config, connectionString: this.url });
    // A test may cut it off.
    client.on('error', () => undefined);
    await client.connect();
    t.teardown(() => client.end());
    return client;
  }

  /** Asks something past the store. */
  ask(text: string): Promise<unknown[][]> {
    return this.server.ask(this.name, text);
  }
}

/** Rows that are there before anything is created. */
const FILLED_ROWS = 20_000;

export interface Creations {
  readonly table: string;
  readonly fill: (database: PostgresDatabase, count: number) => Promise<void>;
  readonly create: (store: PostgresStore, name: string) => Promise<unknown>;
}

/** Whether a creation reads the whole table, also before the server has statistics of it. A creation holds a lock meanwhile. */
export async function readsAll(server: PostgresServer, { table, fill, create }: Creations): Promise<boolean> {
  const database = await PostgresDatabase.create(server);
  const store = database.store();
  await store.open();
  await fill(database, FILLED_ROWS);
  const names = Array.from({ length: 20 }, (_, index) => `made${index}`);
  for (const name of names) await create(store, name);
  await store.close();
  return await database.rowsRead(table, FILLED_ROWS + names.length) >= FILLED_ROWS;
}

/** Stops a test that always takes too long. */
const ATTEMPTS = 5;

/**
 * What is shown while an append waits for the head's lock, which it does for a few seconds only: where the machine stood still for longer, nothing was
 * shown, and it is done once more, from the beginning.
 */
export async function duringLockWait<Result>(show: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    const began = performance.now();
    const isLate = (): boolean => performance.now() - began >= LOCK_MS && attempt < ATTEMPTS;
    try {
      const result = await show();
      if (!isLate()) return result;
    } catch (error) {
      if (!isLate()) throw error;
    }
  }
}
