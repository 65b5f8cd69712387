import { resolve } from 'node:path';
import type { Transferable } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { LostEpoch } from '../../model/ancestry.ts';
import type { LogState } from '../../model/epochs.ts';
import type { Filter } from '../../model/topic.ts';
import { stepOf } from '../rows/connector-rows.ts';
import type { ConnectorStore } from '../contracts/connector-store.ts';
import type { ErasureStore, Wiped } from '../contracts/erasure-store.ts';
import type { KeyStore } from '../contracts/key-store.ts';
import type { RevocationStore } from '../contracts/revocation-store.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import { StoreLifecycle } from '../store-lifecycle.ts';
import type { Appended, AppendRequest, BackQuery, FoundBack, NewestBegin, NewestBounds, Page, ReadQuery, Sought, Store, Trimmed, TrimPolicy } from '../store.ts';
import type { TicketStore } from '../contracts/ticket-store.ts';
import type { TopicStore } from '../contracts/topic-store.ts';
import type { UsageStore } from '../contracts/usage-store.ts';
import type { WebhookStore } from '../contracts/webhook-store.ts';
import { KEY_READS } from './records/api-keys.ts';
import { CONNECTOR_READS, SqliteConnectorStore } from './records/connectors.ts';
import { DamageError, toUnknownError } from './files/errors.ts';
import { SqliteErasureStore } from './records/erasure-store.ts';
import type { ErasureCall, ErasureCalls } from './records/erasures.ts';
import { SqliteKeyStore } from './records/key-store.ts';
import { KnownEpochs } from './messages/known-epochs.ts';
import { LOST_EPOCH_READS } from './messages/lost-epochs.ts';
import { SQLITE_ROW_OVERHEAD_BYTES, type Snapshot } from './files/log-state.ts';
import { REVOCATION_READS, SqliteRevocationStore } from './records/revocations.ts';
import { SqliteSessionStore } from './records/session-store.ts';
import { SESSION_READS } from './records/sessions.ts';
import { SharedFiles } from './shared-files.ts';
import { SupervisedWorker } from './supervised-worker.ts';
import { SqliteTicketStore, TICKET_READS } from './records/tickets.ts';
import { SqliteTopicStore, TOPIC_READS } from './records/topics.ts';
import { SqliteUsageStore, USAGE_READS } from './records/usage.ts';
import { SqliteWebhookStore, WEBHOOK_READS } from './records/webhooks.ts';
import { packRequests, unpackMessages, unpackOutcomes } from './messages/worker-packing.ts';
import { ACKNOWLEDGED, type Call, type Calls, type SideCall, type SideCalls } from './worker-protocol.ts';
import { WAL_HELD_BYTES, WAL_MAX_BYTES } from './files/write-ahead-log.ts';

/**
 * The room `sqlite` keeps the log in a file, which several processes of one host may share. SQLite waits for locks and disks in the thread
 * that calls it, so two workers call it: the writer and the query worker (worker.ts). Calls of the store come in on the main thread and go
 * to a worker as jobs (supervised-worker.ts), packed so that little is copied (worker-packing.ts). A worker's answers are unpacked here.
 */

/** How long a call waits for the lock that another process holds on the database. */
const LOCK_WAIT_MS = 5_000;

export interface SqliteOptions {
  /** The path of the database. It and its folder are made if they are missing. */
  readonly file: string;
  readonly logger: Pick<Logger, 'error' | 'warn'>;
  /** `LOCK_WAIT_MS` if absent. */
  readonly lockWaitMs?: number;
}

/** A question that found that something cannot be read. */
interface Damage {
  readonly error: DamageError;
  readonly ask: () => Promise<unknown>;
}

/** Calls beside the log that change nothing. */
const SIDE_READS: ReadonlySet<SideCall> = new Set<SideCall>([...KEY_READS, ...SESSION_READS, ...TICKET_READS, ...REVOCATION_READS, ...USAGE_READS, ...TOPIC_READS, ...LOST_EPOCH_READS, ...WEBHOOK_READS, ...CONNECTOR_READS]);

/** The store's main-thread side. It begins no transaction and touches no file. */
export class SqliteStore implements Store {
  readonly keys: KeyStore = new SqliteKeyStore((name, argument) => this.#callBeside(name, argument));
  readonly sessions: SessionStore = new SqliteSessionStore((name, argument) => this.#callBeside(name, argument));
  readonly tickets: TicketStore = new SqliteTicketStore((name, argument) => this.#callBeside(name, argument));
  readonly revocations: RevocationStore = new SqliteRevocationStore((name, argument) => this.#callBeside(name, argument));
  readonly usage: UsageStore = new SqliteUsageStore((name, argument) => this.#callBeside(name, argument));
  readonly topics: TopicStore = new SqliteTopicStore((name, argument) => this.#callBeside(name, argument), (id) => this.#epochs.name(id));
  readonly webhooks: WebhookStore = new SqliteWebhookStore((name, argument) => this.#callBeside(name, argument));
  readonly connectors: ConnectorStore = new SqliteConnectorStore((name, argument) => this.#callBeside(name, argument));
  readonly rowOverheadBytes = SQLITE_ROW_OVERHEAD_BYTES;
  readonly erasures: ErasureStore = new SqliteErasureStore((name, argument) => this.#callErasures(name, argument), () => this.#wipe());
  readonly #file: string;
  readonly #logger: Pick<Logger, 'error' | 'warn'>;
  readonly #lockWaitMs: number;
  readonly #lifecycle = new StoreLifecycle({ open: () => this.#open(), close: () => this.#close() });
  readonly #epochs = new KnownEpochs();
  readonly #sharedFiles = new SharedFiles();
  #writer: SupervisedWorker | undefined;
  #queryWorker: SupervisedWorker | undefined;
  /** While something cannot be read nothing is acknowledged, until the question that found it is answered again. */
  #damage: Damage | undefined;
  #hasToldOfLinks = false;
  #hasToldOfWal = false;

  constructor({ file, logger, lockWaitMs = LOCK_WAIT_MS }: SqliteOptions) {
    this.#file = resolve(file);
    this.#logger = logger;
    this.#lockWaitMs = lockWaitMs;
  }

  get logId(): string {
    return this.#lifecycle.logId;
  }

  open(): Promise<LogState> {
    return this.#lifecycle.open();
  }

  async append(requests: readonly AppendRequest[]): Promise<Appended> {
    const step = stepOf(requests);
    const packed = packRequests(requests);
    const transfer = [packed.bytes, packed.numbers.buffer];
    const { outcomes, log } = step === undefined ? await this.#acknowledged('append', packed, transfer) : await this.#acknowledged('appendStep', { request: packed, step }, transfer);
    const state = this.#state(log);
    return { outcomes: unpackOutcomes(outcomes, this.#epochs.name), log: state };
  }

  async read({ after, filter, limit, maxBytes, withoutData = false }: ReadQuery): Promise<Page> {
    const queryWorker = this.#lifecycle.use(this.#queryWorker);
    const names = filter && namesOf(filter);
    const { messages, scanned, examined, log } = await this.#ask(queryWorker, 'read', { after, names, limit, maxBytes, withoutData });
    const state = this.#state(log);
    return { messages: unpackMessages(messages, this.#epochs.name), scanned, examined, log: state };
  }

  async state(): Promise<LogState> {
    const queryWorker = this.#lifecycle.use(this.#queryWorker);
    const damage = this.#damage;
    if (damage !== undefined) await damage.ask();
    const { log, links, walBytes } = await this.#ask(queryWorker, 'state', undefined);
    if (this.#damage === damage) this.#damage = undefined;
    this.#watchLinks(links);
    this.#watchWal(walBytes);
    return this.#state(log);
  }

  async seek(time: number): Promise<Sought> {
    const { log, ...sought } = await this.#ask(this.#lifecycle.use(this.#queryWorker), 'seek', { time });
    return { ...sought, log: this.#state(log) };
  }

  async newestWithin(bounds: NewestBounds): Promise<NewestBegin> {
    const { seq, log } = await this.#ask(this.#lifecycle.use(this.#queryWorker), 'newestWithin', bounds);
    return { seq, log: this.#state(log) };
  }

  async findBack({ before, filter, limit }: BackQuery): Promise<FoundBack> {
    const { log, ...found } = await this.#ask(this.#lifecycle.use(this.#queryWorker), 'findBack', { before, names: namesOf(filter), limit });
    return { ...found, log: this.#state(log) };
  }

  async trim(policy: TrimPolicy): Promise<Trimmed> {
    const { log, ...trimmed } = await this.#ask(this.#lifecycle.use(this.#writer), 'trim', policy);
    return { ...trimmed, log: this.#state(log) };
  }

  async keepLost(lost: readonly LostEpoch[]): Promise<void> {
    await this.#callBeside('keepLost', lost);
  }

  lost(): Promise<readonly LostEpoch[]> {
    return this.#callBeside('lost', undefined);
  }

  close(): Promise<void> {
    return this.#lifecycle.close();
  }

  async #open(): Promise<{ logId: string; log: LogState }> {
    const options = { file: this.#file, lockWaitMs: this.#lockWaitMs, logger: this.#logger, sharedFiles: this.#sharedFiles };
    this.#writer ??= new SupervisedWorker({ ...options, name: 'writer', onLost: () => letLook(this.#queryWorker) });
    const { opened, log } = await this.#writer.call('open', undefined);
    this.#writer.opened = opened;
    this.#queryWorker = new SupervisedWorker({ ...options, name: 'query worker', opened, onLost: () => letLook(this.#writer) });
    return { logId: opened.logId, log: this.#state(log) };
  }

  async #close(): Promise<void> {
    await this.#queryWorker?.close();
    // Last, because only the last connection to the file that closes can clear the write-ahead log away.
    await this.#writer?.close();
  }

  /** Calls the writer for something that is acknowledged. Nothing is, while something cannot be read. */
  async #acknowledged<Name extends Call>(name: Name, argument: Calls[Name]['argument'], transfer?: Transferable[]): Promise<Calls[Name]['value']> {
    const writer = this.#lifecycle.use(this.#writer);
    if (this.#damage !== undefined) throw this.#damage.error;
    const value = await writer.call(name, argument, transfer);
    const damage = this.#damage as Damage | undefined;
    if (damage !== undefined) throw toUnknownError(damage.error);
    return value;
  }

  async #callBeside<Name extends SideCall>(name: Name, argument: SideCalls[Name]['argument']): Promise<SideCalls[Name]['answer']> {
    const { answer, log } = ACKNOWLEDGED.has(name)
      ? await this.#acknowledged(name, argument)
      : await this.#ask(this.#lifecycle.use(SIDE_READS.has(name) ? this.#queryWorker : this.#writer), name, argument);
    this.#state(log);
    return answer;
  }

  async #callErasures<Name extends ErasureCall>(name: Name, argument: ErasureCalls[Name]['argument']): Promise<{ readonly answer: ErasureCalls[Name]['answer']; readonly log: LogState }> {
    const { answer, log } = name === 'erasureChanges'
      ? await this.#ask(this.#lifecycle.use(this.#queryWorker), name, argument)
      : await this.#acknowledged(name, argument);
    return { answer, log: this.#state(log) };
  }

  async #wipe(): Promise<Wiped> {
    const { wiped, log } = await this.#ask(this.#lifecycle.use(this.#writer), 'wipe', undefined);
    this.#state(log);
    return wiped;
  }

  /** Asks what reads the log, and remembers the first question that finds damage. */
  async #ask<Name extends Call>(worker: SupervisedWorker, name: Name, argument: Calls[Name]['argument']): Promise<Calls[Name]['value']> {
    try {
      return await worker.call(name, argument);
    } catch (error) {
      if (error instanceof DamageError) this.#damage ??= { error, ask: () => worker.call(name, argument) };
      throw error;
    }
  }

  /** A name more does no harm by itself, and a copy of the folder may be the reason: no process opens the file while it has two. */
  #watchLinks(links: number): void {
    if (links > 1 && !this.#hasToldOfLinks) {
      this.#logger.error({ links }, `DATABASE_URL: the file ${this.#file} was given another name (a hard link): remove it, or Tidings does not start again. It is no backup: it changes with the file`);
    }
    this.#hasToldOfLinks = links > 1;
  }

  /** Warns of a long write-ahead log: a long read keeps everything that is written meanwhile in it. */
  #watchWal(walBytes: number): void {
    if (walBytes >= WAL_HELD_BYTES && !this.#hasToldOfWal) {
      this.#logger.warn({ walBytes }, `the write-ahead log ${this.#file}-wal grows with each publish: a program that has read ${this.#file} for long, a backup maybe, keeps it from being emptied. It shrinks when that program ends its transaction`);
      this.#hasToldOfWal = true;
    }
    if (walBytes < WAL_MAX_BYTES) this.#hasToldOfWal = false;
  }

  #state({ head, oldest, now, epochs, erasures }: Snapshot): LogState {
    if (epochs !== undefined) this.#epochs.learn(epochs);
    return { lineage: this.#epochs.lineage, oldest, head, now, erasures };
  }
}

function namesOf({ topics, patterns }: Filter): string[] {
  return [...topics, ...patterns];
}

/** Lets a worker close the files that it finds lost. A failure says that it has found one, or that it ended, which closes everything. */
function letLook(worker: SupervisedWorker | undefined): void {
  worker?.call('look', undefined).catch(() => undefined);
}
