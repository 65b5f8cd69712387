import { REMEMBERED_EPOCHS, type LostEpoch } from '../../model/ancestry.ts';
import { EPOCH_RANDOM_CHARACTERS, type LogState } from '../../model/epochs.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { CLOCK_JUMP_MS, CLOCK_KEPT_MS } from '../believed-clock.ts';
import { stepOf } from '../rows/connector-rows.ts';
import type { ConnectorStore } from '../contracts/connector-store.ts';
import type { ErasureStore } from '../contracts/erasure-store.ts';
import type { KeyStore } from '../contracts/key-store.ts';
import type { RevocationStore } from '../contracts/revocation-store.ts';
import { UNDERSTOOD_LEVEL } from '../level.ts';
import { KEPT_EPOCHS, TRIM_STEP_BYTES } from '../limits.ts';
import { LOG_NAME_CHARACTERS, randomName } from '../names.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import { StoreLifecycle } from '../store-lifecycle.ts';
import type { Appended, AppendRequest, BackQuery, FoundBack, NewestBegin, NewestBounds, Page, ReadQuery, Sought, Store, Trimmed, TrimPolicy } from '../store.ts';
import type { TicketStore } from '../contracts/ticket-store.ts';
import type { TopicStore } from '../contracts/topic-store.ts';
import type { UsageStore } from '../contracts/usage-store.ts';
import type { WebhookStore } from '../contracts/webhook-store.ts';
import { RETENTION, STANDBY } from './connection/expressions.ts';
import { appendCall, appendedIn, isOutdated, newestEpoch, outcomesOf, PG_ROW_OVERHEAD_BYTES, stateCall } from './messages/append.ts';
import { PgConnections } from './connection/connection-pool.ts';
import { PostgresConnectorStore } from './records/connectors.ts';
import { PostgresErasureStore } from './records/erasure-store.ts';
import { PostgresKeyStore } from './records/key-store.ts';
import { KnownLog, NEWEST_ERASURE } from './messages/known-log.ts';
import { literal, nameIn, wholeNumber } from './connection/literals.ts';
import { BackgroundMigrations } from './long-migrations.ts';
import { applyMigrations } from './migrate.ts';
import { PostgresRevocationStore } from './records/revocations.ts';
import { DeletedRows, vacuumTable } from './vacuum.ts';
import { backCall, foundBackOf, isSummary, messagesOf, newestCall, readCall, summaryOf } from './messages/query.ts';
import { PostgresSessionStore } from './records/session-store.ts';
import { PostgresTicketStore } from './records/tickets.ts';
import { PostgresTopicStore } from './records/topics.ts';
import { PostgresUsageStore } from './records/usage.ts';
import { PostgresWebhookStore } from './records/webhooks.ts';

/**
 * The room `postgres` keeps the log in PostgreSQL, which instances on any number of hosts share. Each call of the store becomes one SQL text, which goes to the
 * server in one message and is one transaction there. So an instance that freezes never keeps a lock. Functions in the database do most of the work
 * (migrations/postgres). Rows come back and become messages, records and the state of the log. Read the files in the order of a call:
 *
 *     postgres.ts ─┬─ messages/, records/   make the SQL of a call, and read its answer
 *                  └─ connection/           sends it
 *
 * `migrate.ts`, `applied-migrations.ts`, `long-migrations.ts` and `vacuum.ts` maintain the tables. `copy-target.ts`, `log-clock.ts` and `open-key-store.ts`
 * belong to commands.
 */

export interface PostgresOptions {
  /** postgres://…, with any option of pg-connection-string. */
  readonly url: string;
  /** The most connections at a time, one of them for writing; at least 2. */
  readonly maxPgConnections: number;
  readonly logger: Logger;
  /** `VACUUM_DELETED_BYTES` if absent. */
  readonly vacuumBytes?: number;
}

/** Makes SQL of each method of `Store`, and reads its answer. */
export class PostgresStore implements Store {
  readonly keys: KeyStore = new PostgresKeyStore(() => this.#use());
  readonly sessions: SessionStore = new PostgresSessionStore(() => this.#use());
  readonly tickets: TicketStore = new PostgresTicketStore(() => this.#use());
  readonly revocations: RevocationStore = new PostgresRevocationStore(() => this.#use());
  readonly usage: UsageStore = new PostgresUsageStore(() => this.#use());
  readonly webhooks: WebhookStore = new PostgresWebhookStore(() => this.#use());
  readonly connectors: ConnectorStore = new PostgresConnectorStore(() => this.#use());
  readonly rowOverheadBytes = PG_ROW_OVERHEAD_BYTES;
  readonly topics: TopicStore;
  readonly erasures: ErasureStore;
  readonly #pgConnections: PgConnections;
  readonly #backgroundMigrations: BackgroundMigrations;
  readonly #lifecycle = new StoreLifecycle({ open: () => this.#open(), close: () => this.#close() });
  readonly #known = new KnownLog();
  readonly #vacuum = new AbortController();
  readonly #deletedRows: DeletedRows;
  /**
   * `PgConnections.losses` when this instance last began an epoch (invariant 8). An append begins the next epoch if there are more losses by then:
   *
   * | event | `losses` | `#lossesOfEpoch` |
   * |---|---|---|
   * | `open` begins an epoch | 0 | 0 |
   * | a connection is lost | 1 | 0 |
   * | the next append is sent, with `begin`; those after it without | 1 | 1 |
   * | that append fails, so the epoch may not have begun: the next append is sent with `begin` | 1 | NaN, which equals nothing |
   */
  #lossesOfEpoch = 0;

  constructor({ url, maxPgConnections, logger, vacuumBytes }: PostgresOptions) {
    this.#backgroundMigrations = new BackgroundMigrations({ url, logger });
    this.erasures = new PostgresErasureStore({ use: () => this.#use(), known: this.#known, vacuum: () => vacuumTable('messages', url, this.#vacuum.signal) });
    this.topics = new PostgresTopicStore({ use: () => this.#use(), known: this.#known });
    this.#deletedRows = new DeletedRows({ url, signal: this.#vacuum.signal, logger, vacuumBytes });
    this.#pgConnections = new PgConnections({ url, maxQueryConnections: maxPgConnections - 1 });
  }

  get logId(): string {
    return this.#lifecycle.logId;
  }

  open(): Promise<LogState> {
    return this.#lifecycle.open();
  }

  async append(requests: readonly AppendRequest[]): Promise<Appended> {
    const pgConnections = this.#use();
    const known = this.#known.lineage;
    const { losses } = pgConnections;
    const begin = losses !== this.#lossesOfEpoch;
    const call = appendCall(requests, { begin, seen: this.#known.seen, known }, stepOf(requests));
    this.#lossesOfEpoch = losses;
    try {
      return await pgConnections.write(call.text, ([answer]) => {
        if (isOutdated(answer!)) {
          // An outdated step stores nothing, and begins no epoch either.
          if (begin) this.#lossesOfEpoch = NaN;
          return { outcomes: [{ kind: 'outdated' }], log: this.#known.state(answer!, known) };
        }
        const row = appendedIn(answer!);
        const { outcomes, began } = outcomesOf(row, requests, call);
        const log = this.#known.state(row, known);
        if (began) this.#known.see(log, true);
        return { outcomes, log };
      });
    } catch (error) {
      if (begin) this.#lossesOfEpoch = NaN;
      throw error;
    }
  }

  async read(query: ReadQuery): Promise<Page> {
    const known = this.#known.lineage;
    return this.#use().read(readCall(query, known), (rows) => {
      const summary = rows.find(isSummary)!;
      const { scanned, examined, erasures } = summaryOf(summary);
      const log = { ...this.#known.state(summary, known), erasures };
      const found = rows.filter((row) => row !== summary);
      return { messages: messagesOf(found, query.filter, log.lineage), scanned, examined: examined + found.length, log };
    });
  }

  async state(): Promise<LogState> {
    const known = this.#known.lineage;
    return this.#use().glance(`SELECT ${NEWEST_ERASURE}, s.* FROM ${stateCall(known)} s`, ([row]) => ({ ...this.#known.state(row!, known), erasures: wholeNumber(row![0]) }));
  }

  async seek(time: number): Promise<Sought> {
    const known = this.#known.lineage;
    // The function takes a bigint: clamp times beyond its range, such as Infinity.
    const asked = Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(time)));
    return this.#use().read(`SELECT k.seq, k.missing, ${NEWEST_ERASURE}, s.* FROM tidings.seek(${asked}) k, ${stateCall(known)} s`,
      ([row]) => ({ seq: wholeNumber(row![0]), missing: row![1] === 't', log: { ...this.#known.state(row!, known), erasures: wholeNumber(row![2]) } }));
  }

  async newestWithin(bounds: NewestBounds): Promise<NewestBegin> {
    const known = this.#known.lineage;
    return this.#use().read(newestCall(bounds, known), ([row]) => ({ seq: wholeNumber(row![0]), log: this.#known.state(row!, known) }));
  }

  async findBack(query: BackQuery): Promise<FoundBack> {
    const known = this.#known.lineage;
    return this.#use().read(backCall(query, known), ([row]) => ({ ...foundBackOf(row!, query.filter), log: this.#known.state(row!, known) }));
  }

  async trim({ maxAge, maxBytes, maxKeys = 0, rows, counted }: TrimPolicy): Promise<Trimmed> {
    const known = this.#known.lineage;
    // As `continues` in believed-clock.ts: the counted time, if the count continues from the clock that the log remembers.
    const latest = counted === undefined ? 'NULL' : `(SELECT ${Math.floor(counted.latest)} FROM ${RETENTION} r WHERE ${counted.from} - r.clock BETWEEN 0 AND ${CLOCK_KEPT_MS - 1})`;
    // The arguments of `tidings.trim`.
    const policy = [Math.floor(maxAge), Math.floor(maxBytes), rows, TRIM_STEP_BYTES, PG_ROW_OVERHEAD_BYTES, latest, CLOCK_JUMP_MS];
    return this.#use().read(`SELECT (SELECT r.bytes FROM ${RETENTION} r), k.*, t.* FROM tidings.trim(${[...policy, literal(newestEpoch(known)), UNDERSTOOD_LEVEL].join(', ')}) t, LATERAL tidings.trim_keys(${maxKeys}, ${rows} - t.keys) k`, ([row]) => {
      const [deletedBefore, youngKeys, heldKeys, moreKeys, deletedBytes, messages, expiredKeys, more, bytes, machine, believed] = row!;
      const trimmed: Trimmed = {
        messages: wholeNumber(messages), keys: wholeNumber(expiredKeys) + wholeNumber(youngKeys), youngKeys: wholeNumber(youngKeys), heldKeys: wholeNumber(heldKeys),
        more: more === 't' || moreKeys === 't', bytes: wholeNumber(bytes), machine: wholeNumber(machine), believed: wholeNumber(believed),
        log: this.#known.state(row!, known),
      };
      this.#deletedRows.add(trimmed.messages === 0 ? 0 : wholeNumber(deletedBytes) - wholeNumber(deletedBefore), trimmed);
      return trimmed;
    });
  }

  keepLost(lost: readonly LostEpoch[]): Promise<void> {
    if (lost.length === 0) return Promise.resolve();
    const rows = lost.map(({ epoch, before }) => `(${literal(epoch)}, ${literal(before.epoch)}, ${before.seq})`);
    return this.#use().change(`INSERT INTO tidings.lost_epochs (epoch, parent, seq) VALUES ${rows.join(', ')} ON CONFLICT (epoch) DO NOTHING;
      DELETE FROM tidings.lost_epochs WHERE id <= (SELECT id FROM tidings.lost_epochs ORDER BY id DESC LIMIT 1 OFFSET ${REMEMBERED_EPOCHS}); SELECT ${STANDBY}`, () => undefined);
  }

  lost(): Promise<readonly LostEpoch[]> {
    return this.#use().glance(`SELECT (SELECT json_agg(json_build_array(epoch, parent, seq) ORDER BY id) FROM tidings.lost_epochs), ${STANDBY}`, ([row]) => {
      const list = JSON.parse(row![0] ?? '[]') as readonly (readonly [epoch: string, parent: string, seq: unknown])[];
      return list.map(([epoch, parent, seq]) => ({ epoch: nameIn(epoch), before: { epoch: nameIn(parent), seq: wholeNumber(String(seq)) } }));
    });
  }

  close(): Promise<void> {
    return this.#lifecycle.close();
  }

  /** Throws while the store is not open. */
  #use(): PgConnections {
    return this.#lifecycle.use(this.#pgConnections);
  }

  async #open(): Promise<{ logId: string; log: LogState }> {
    const { left } = await this.#pgConnections.session(applyMigrations);
    const { losses } = this.#pgConnections;
    const open = `tidings.open('${randomName(LOG_NAME_CHARACTERS)}', '${randomName(EPOCH_RANDOM_CHARACTERS)}', ${KEPT_EPOCHS}, ${UNDERSTOOD_LEVEL})`;
    return this.#pgConnections.write(`SELECT tidings.forget_empty_epochs(${KEPT_EPOCHS}), o.* FROM ${open} o`, ([row]) => {
      const logId = nameIn(row![1]);
      const log = this.#known.state(row!, this.#known.lineage);
      this.#known.see(log, true);
      this.#lossesOfEpoch = losses;
      if (left) this.#backgroundMigrations.run();
      return { logId, log };
    });
  }

  async #close(): Promise<void> {
    this.#vacuum.abort();
    await Promise.all([this.#backgroundMigrations.stop(), this.#pgConnections.close()]);
  }
}
