import { KEYS, MESSAGE_COLUMNS, type CopiedKind, type CopiedRow, type CopiedTable, type Proof } from '../copied-rows.ts';
import { ERASED_EVENT } from '../../model/message.ts';
import { openLevel, UNFINISHED_COPY_LEVELS } from '../level.ts';
import { movedElsewhere, type CopiedMessage, type CopyTarget, type KeyPosition, type SourceState, type TargetState } from '../copy-contract.ts';
import { rowBytes } from '../row-bytes.ts';
import { randomName } from '../names.ts';
import { StoreError } from '../store.ts';
import { HEAD } from './connection/expressions.ts';
import { appliedMigrations } from './applied-migrations.ts';
import { PG_ROW_OVERHEAD_BYTES } from './messages/append.ts';
import { inSession, PgConnections } from './connection/connection-pool.ts';
import type { Ask } from './connection/connection.ts';
import { failureOf } from './connection/errors.ts';
import { bytes, literal, numbers, strings, wholeNumber } from './connection/literals.ts';
import { applyLongMigrations } from './long-migrations.ts';
import { applyMigrations } from './migrate.ts';

/** The most rows that one statement deletes or inserts. Bounds its time, and the memory of its text. */
const STEP_MAX_ROWS = 5_000;
/** The length of the random tag that quotes statements (`$tag$ … $tag$`). So long that it occurs in no data. */
const TAG_CHARACTERS = 16;

/** The values of columns that only PostgreSQL has. With them, versions continue as if this server had given the earlier ones. */
const ADDED_COLUMNS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  access: { since: '0', server: "''" },
  session_state: { since: '0', server: "''" },
  revocation_list: { since: '0', server: "''" },
  ticket_state: { server: "''" },
  // Not wiped: a message that was erased between two passes may still be in the pages of the table. An instance will vacuum it.
  erasures: { wiped: 'false', server: 'tidings.session_server()' },
};

/** The expressions that turn a column into the text of a `CopiedRow`, and back. */
const DUMPED: Readonly<Record<CopiedKind, (column: string) => string>> = {
  number: (column) => `${column}::text`,
  text: (column) => column,
  bytes: (column) => `encode(${column}, 'hex')`,
  flag: (column) => `${column}::integer::text`,
};
const LOADED: Readonly<Record<CopiedKind, (column: string) => string>> = {
  number: (column) => `${column}::bigint`,
  text: (column) => column,
  bytes: (column) => `decode(${column}, 'hex')`,
  flag: (column) => `(${column} = '1')`,
};

/** The advisory lock of a running copy. */
const COPY_LOCK = "hashtext('tidings.copy')";

/** A PostgreSQL database that a log is copied to. */
export class PostgresCopyTarget implements CopyTarget {
  readonly #url: string;
  readonly #pgConnections: PgConnections;
  #logId = '';

  constructor(url: string) {
    this.#url = url;
    this.#pgConnections = new PgConnections({ url, maxQueryConnections: 1 });
  }

  exclusively<Result>(copy: () => Promise<Result>): Promise<Result> {
    return inSession(this.#url, async (ask) => {
      const [[isAlone] = []] = await ask(`SELECT pg_try_advisory_lock(${COPY_LOCK})::integer`);
      if (wholeNumber(isAlone) !== 1) throw new StoreError('refused', 'another tidings copy into this database is under way; nothing was written');
      try {
        return await copy();
      } finally {
        // Unlock now: the server notices the end of the session a moment later, and would refuse the next copy until then. A lost session has no lock.
        await ask(`SELECT pg_advisory_unlock(${COPY_LOCK})`).catch(() => undefined);
      }
    });
  }

  async begin(log: SourceState): Promise<TargetState> {
    this.#logId = log.logId;
    const isChecked = await this.#pgConnections.session((ask) => this.#check(ask, log));
    const { left } = await this.#pgConnections.session(applyMigrations);
    if (left) await applyLongMigrations({ url: this.#url, waits: () => undefined });
    // Without tables there was nothing to check. Another program may have made a log since.
    if (!isChecked) await this.#pgConnections.session((ask) => this.#refuseOther(ask));
    const level = UNFINISHED_COPY_LEVELS + log.level;
    await this.#change(`SELECT FROM pg_advisory_xact_lock(hashtext('tidings.open'));
      INSERT INTO tidings.retention (id, oldest, bytes, time) SELECT 1, 1, 0, NULL WHERE NOT EXISTS (SELECT FROM tidings.head);
      INSERT INTO tidings.head (id, log, seq, epoch, time, bytes, server, level) SELECT 1, ${literal(log.logId)}, 0, '', 0, 0, '', ${level} WHERE NOT EXISTS (SELECT FROM tidings.head)`);
    return this.#pgConnections.glance(`SELECT h.log, h.level, h.seq, coalesce((SELECT max(place) FROM tidings.keys), 0), h.epoch, pg_is_in_recovery() FROM ${HEAD} h`, ([row]) => {
      const [logId, found, copied, newestKey, epoch] = row!;
      if (logId !== log.logId) throw otherLog(logId!);
      return { isOpen: wholeNumber(found) < UNFINISHED_COPY_LEVELS, copied: wholeNumber(copied), newestKey: wholeNumber(newestKey), isComplete: epoch === log.epoch };
    });
  }

  /** Checks the database before the migrations change it. Returns false if it has no tables yet. Throws if it must not get this log. */
  async #check(ask: Ask, log: SourceState): Promise<boolean> {
    const [[encoding] = []] = await ask("SELECT current_setting('server_encoding')");
    if (encoding !== 'UTF8') throw new StoreError('refused', `the encoding of the target is ${encoding}; make it with ENCODING 'UTF8'`);
    const isNew = (await appliedMigrations(ask)).length === 0;
    if (isNew && log.isMoved) throw movedElsewhere();
    if (isNew) return false;
    await this.#refuseOther(ask);
    if (log.isMoved && (await ask('SELECT FROM tidings.head')).length === 0) throw movedElsewhere();
    return true;
  }

  /** Throws if the database has rows of anything but a copy of this log. */
  async #refuseOther(ask: Ask): Promise<void> {
    const [[logId] = []] = await ask('SELECT log FROM tidings.head');
    if (logId !== undefined && logId !== this.#logId) throw otherLog(logId!);
    if (logId !== undefined) return;
    // Without a log there may be API keys: a command can make them before the first instance opens the log.
    for (const name of ['messages', 'keys', 'epochs', 'api_keys', 'sessions', 'tickets', 'revocations']) {
      const [[table] = []] = await ask(`SELECT to_regclass('tidings.${name}')`);
      if (table === null) continue;
      if ((await ask(`SELECT 1 FROM tidings.${name} LIMIT 1`)).length > 0) throw new StoreError('refused', `the target is not empty: its table tidings.${name} has rows; nothing was written`);
    }
  }

  async cut(log: SourceState): Promise<number> {
    await this.#deleteAll(`SELECT seq FROM tidings.messages WHERE seq < ${log.oldest} ORDER BY seq`, 'messages', 'seq');
    await this.#deleteAll(`SELECT seq FROM tidings.messages WHERE seq > ${log.head} ORDER BY seq`, 'messages', 'seq');
    await this.#deleteAll(`SELECT place FROM tidings.keys WHERE place < ${log.oldestKey} OR place > ${log.newestKey}`, 'keys', 'place');
    await this.#write(`UPDATE tidings.head SET seq = greatest(${log.oldest - 1}, least(seq, ${log.head}));`);
    return this.#pgConnections.glance(`SELECT h.seq, pg_is_in_recovery() FROM ${HEAD} h`, ([row]) => wholeNumber(row![0]));
  }

  async appendMessages(messages: readonly CopiedMessage[], after: number): Promise<void> {
    await this.#write(`${insertMessages(messages)} UPDATE tidings.head SET seq = ${messages.at(-1)!.seq};`, `AND seq = ${after}`);
  }

  async replaceMessages(messages: readonly CopiedMessage[]): Promise<void> {
    await this.#write(insertMessages(messages));
  }

  proveMessages(from: number, through: number): Promise<Proof> {
    return this.#prove({ name: 'messages', columns: MESSAGE_COLUMNS, order: ['seq'] }, `WHERE seq BETWEEN ${from} AND ${through}`, ' || data');
  }

  async putKeys(rows: readonly CopiedRow[]): Promise<void> {
    const names = Object.keys(KEYS.columns).map(quoted);
    await this.#write(`${insertRows(KEYS, rows)} ON CONFLICT (scope, key) DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(', ')};`);
  }

  async deleteKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<void> {
    await this.#write(`DELETE FROM tidings.keys ${between(after, through)};`);
  }

  proveKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<Proof> {
    return this.#prove(KEYS, between(after, through));
  }

  async replaceRows(table: CopiedTable, rows: Iterable<CopiedRow>): Promise<void> {
    await this.#write(`DELETE FROM tidings.${table.name};`);
    let part: CopiedRow[] = [];
    for (const row of rows) {
      part.push(row);
      if (part.length < STEP_MAX_ROWS) continue;
      await this.#write(`${insertRows(table, part)};`);
      part = [];
    }
    if (part.length > 0) await this.#write(`${insertRows(table, part)};`);
  }

  proveRows(table: CopiedTable): Promise<Proof> {
    return this.#prove(table, '');
  }

  async writeState({ oldest, head, epoch, time, deletedTime, clock, newestKey }: SourceState, size: number): Promise<void> {
    await this.#write(`UPDATE tidings.head SET seq = ${head}, epoch = ${literal(epoch)}, time = ${time}, bytes = ${size}, server = '';
      UPDATE tidings.retention SET oldest = ${oldest}, bytes = 0, time = ${deletedTime ?? 'NULL'}, clock = ${clock ?? 'NULL'}, named_from = 0;
      ${newestKey === 0 ? '' : `PERFORM setval('tidings.key_places', ${newestKey});`}`);
  }

  bytesOf({ row, data }: CopiedMessage): number {
    const [, , , , topic, event = null] = row;
    return rowBytes({ topic: topic!, event: event === null || event === ERASED_EVENT ? undefined : event, data }, PG_ROW_OVERHEAD_BYTES);
  }

  async open({ level }: SourceState): Promise<void> {
    await this.#write(`UPDATE tidings.head SET level = ${openLevel(level)};`);
  }

  close(): Promise<void> {
    return this.#pgConnections.close();
  }

  /** Deletes the selected rows in steps of STEP_MAX_ROWS. @param select Selects values of `column`. */
  async #deleteAll(select: string, table: string, column: string): Promise<void> {
    for (let deleted = STEP_MAX_ROWS; deleted === STEP_MAX_ROWS;) {
      deleted = await this.#pgConnections.change(`${this.#guard('')}; WITH gone AS (DELETE FROM tidings.${table} WHERE ${column} IN (${select} LIMIT ${STEP_MAX_ROWS}) RETURNING 1)
        SELECT count(*), pg_is_in_recovery() FROM gone`, ([row]) => wholeNumber(row![0]));
    }
  }

  #change(statement: string): Promise<void> {
    return this.#pgConnections.change(`${statement}; SELECT pg_is_in_recovery()`, () => undefined);
  }

  /** Runs statements in one transaction, after `#guard`. They run in a block that catches their error and answers it. Otherwise the server would write the statements, with the data of messages, to its own log. */
  #write(statements: string, condition = ''): Promise<void> {
    const tag = `$tidings${randomName(TAG_CHARACTERS)}$`;
    return this.#pgConnections.change(`${this.#guard(condition)}; DO ${tag}
      BEGIN ${statements} EXCEPTION WHEN query_canceled OR OTHERS THEN PERFORM set_config('tidings.copy_failure', SQLSTATE || SQLERRM, true);
      END ${tag}; SELECT current_setting('tidings.copy_failure', true), pg_is_in_recovery()`, ([row]) => {
      const failure = row![0] ?? '';
      if (failure !== '') throw failureOf(failure.slice(0, SQLSTATE_CHARACTERS), failure.slice(SQLSTATE_CHARACTERS));
    });
  }

  /** A statement that fails if the database is not an unfinished copy of this log any more. Otherwise it locks the head row, so that this stays so until the end of the transaction. */
  #guard(condition: string): string {
    return `DO $$ BEGIN PERFORM FROM tidings.head WHERE log = ${literal(this.#logId)} AND level >= ${UNFINISHED_COPY_LEVELS} ${condition} FOR UPDATE;
      IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = 'not the copy of the log ${this.#logId} that was expected'; END IF; END $$`;
  }

  /** The proof of rows, as `RowDigests` computes it. @param more SQL that appends bytes after the columns. */
  #prove({ name, columns, order }: CopiedTable, where: string, more = ''): Promise<Proof> {
    const text = Object.entries(columns).map(([column, kind]) => DUMPED[kind](quoted(column))).map((value) => `coalesce(octet_length(${value}) || ':' || ${value}, '-') || ','`).join(' || ');
    const call = `SELECT count(*), coalesce(encode(sha256(string_agg(sha256(convert_to(${text}, 'UTF8')${more}), ''::bytea ORDER BY ${order.map(quoted).join(', ')})), 'hex'), ''), pg_is_in_recovery() FROM tidings.${name} ${where}`;
    return this.#pgConnections.read(call, ([row]) => ({ rows: wholeNumber(row![0]), digest: row![1]! }));
  }
}

/** The length of an error code of PostgreSQL (SQLSTATE). */
const SQLSTATE_CHARACTERS = 5;

function otherLog(logId: string): StoreError {
  return new StoreError('refused', `the target holds another log (${logId}): name an empty database; nothing was written`);
}

function quoted(column: string): string {
  return `"${column}"`;
}

/** The condition for the keys after one position, up to and including another. */
function between(after: KeyPosition | undefined, through: KeyPosition | undefined): string {
  const place = (position: KeyPosition): string => `(${literal(position[0])}, ${literal(position[1])})`;
  return `WHERE ${after === undefined ? 'true' : `(scope, key) > ${place(after)}`} AND ${through === undefined ? 'true' : `(scope, key) <= ${place(through)}`}`;
}

function insertRows({ name, columns }: CopiedTable, rows: readonly CopiedRow[]): string {
  const kinds = Object.entries(columns);
  const added = ADDED_COLUMNS[name] ?? {};
  return `INSERT INTO tidings.${name} (${[...kinds.map(([column]) => column), ...Object.keys(added)].map(quoted).join(', ')})
    SELECT ${[...kinds.map(([, kind], index) => LOADED[kind](`r.c${index}`)), ...Object.values(added)].join(', ')}
    FROM unnest(${kinds.map((_, index) => strings(rows.map((row) => row[index]!))).join(', ')}) WITH ORDINALITY AS r (${kinds.map((_, index) => `c${index}`).join(', ')}, n) ORDER BY r.n`;
}

type MessageColumn = keyof typeof MESSAGE_COLUMNS;
const MESSAGE_COLUMN_NAMES = Object.keys(MESSAGE_COLUMNS);

/** Inserts messages, or replaces those with the same numbers. Their data goes as one `bytea`, of which each row takes its part. */
function insertMessages(messages: readonly CopiedMessage[]): string {
  const texts = (column: MessageColumn): (string | null)[] => {
    const index = MESSAGE_COLUMN_NAMES.indexOf(column);
    return messages.map(({ row }) => row[index]!);
  };
  const wholes = (column: MessageColumn): string => numbers(texts(column).map(Number), 'bigint');
  let end = 0;
  const starts = messages.map(({ data }) => (end += data.length) - data.length);
  return `INSERT INTO tidings.messages (seq, time, expires, json, topic, event, data)
    SELECT m.seq, m.time, m.expires, m.json = 1, m.topic, m.event, substring(${bytes(Buffer.concat(messages.map(({ data }) => data)))}::bytea FROM m.start FOR m.length)
    FROM unnest(${[wholes('seq'), wholes('time'), wholes('expires'), wholes('json'), strings(texts('topic')), strings(texts('event')), numbers(starts.map((start) => start + 1), 'integer'), numbers(messages.map(({ data }) => data.length), 'integer')].join(', ')})
      AS m (seq, time, expires, json, topic, event, start, length)
    ON CONFLICT (seq) DO UPDATE SET time = excluded.time, expires = excluded.expires, json = excluded.json, topic = excluded.topic, event = excluded.event, data = excluded.data;`;
}
