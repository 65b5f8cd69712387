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
import { SqliteConnectorStore } from './records/connectors.ts';
import { DamageError, toUnknownError } from './files/errors.ts';
import { SqliteErasureStore } from './records/erasure-store.ts';
import { ERASURE_EFFECTS, type ErasureCalls } from './records/erasures.ts';
import { SqliteKeyStore } from './records/key-store.ts';
import { KnownEpochs } from './messages/known-epochs.ts';
import { SQLITE_ROW_OVERHEAD_BYTES, type Snapshot } from './files/log-state.ts';
import { SqliteRevocationStore } from './records/revocations.ts';
import { SqliteSessionStore } from './records/session-store.ts';
import type { Effect } from './records/side-call.ts';
import { SharedFiles } from './shared-files.ts';
import { SupervisedWorker } from './supervised-worker.ts';
import { SqliteTicketStore } from './records/tickets.ts';
import { SqliteTopicStore } from './records/topics.ts';
import { SqliteUsageStore } from './records/usage.ts';
import { SqliteWebhookStore } from './records/webhooks.ts';
import { packRequests, unpackMessages, unpackOutcomes } from './messages/worker-packing.ts';
import { SIDE_EFFECTS, type Call, type Calls, type SideCall, type SideCalls } from './worker-protocol.ts';
import { WAL_HELD_BYTES, WAL_MAX_BYTES } from './files/write-ahead-log.ts';

/**
 * The room `sqlite` keeps the log in a file, which several processes of one host may share. SQLite waits for locks and disks in the thread
 * that calls it, so two workers call it: the writer and the query worker. Calls of the store come in on the main thread, and their answers go out there.
 * Read the files in the order of a call:
 *
 *     main thread   sqlite.ts ─ supervised-worker.ts          worker-protocol.ts lists the jobs and their answers
 *     worker        worker.ts ─ worker-connection.ts ─┬─ messages/, records/   the SQL
 *                                                     └─ files/, probe.ts      the file, and checks that it is whole
 *
 * Both threads share `job-claims.ts` and `shared-files.ts`. `wipe.ts` is a job of the writer. `file-users.ts` tells whether other processes use the file. The
 * other files belong to commands: `backup.ts`, `copy-source.ts`, `log-clock.ts`, `open-key-store.ts`.
 */

/** How long a call waits for another process to release the lock of the database. */
const LOCK_WAIT_MS = 5_000;

export interface SqliteOptions {
  /** The path of the database. A missing file or folder is made. */
  readonly file: string;
  readonly logger: Pick<Logger, 'error' | 'warn'>;
  /** `LOCK_WAIT_MS` if absent. */
  readonly lockWaitMs?: number;
}

/** A call that found that a part of the file cannot be read. */
interface Damage {
  readonly error: DamageError;
  /** Repeats the call, to find out whether the damage is still there. */
  readonly retry: () => Promise<unknown>;
}

/** The main thread's end of the store. It begins no transaction and opens no file. */
export class SqliteStore implements Store {
  readonly #sideCalls = <Name extends SideCall>(name: Name, argument: SideCalls[Name]['argument']): Promise<SideCalls[Name]['answer']> => this.#callSide(name, argument);
  readonly keys: KeyStore = new SqliteKeyStore(this.#sideCalls);
  readonly sessions: SessionStore = new SqliteSessionStore(this.#sideCalls);
  readonly tickets: TicketStore = new SqliteTicketStore(this.#sideCalls);
  readonly revocations: RevocationStore = new SqliteRevocationStore(this.#sideCalls);
  readonly usage: UsageStore = new SqliteUsageStore(this.#sideCalls);
  readonly topics: TopicStore = new SqliteTopicStore(this.#sideCalls, (id) => this.#epochs.name(id));
  readonly webhooks: WebhookStore = new SqliteWebhookStore(this.#sideCalls);
  readonly connectors: ConnectorStore = new SqliteConnectorStore(this.#sideCalls);
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
  /** The first damage that was found. While it is there, nothing is acknowledged. `state`, which instances call every second, removes it when its `retry` succeeds. */
  #damage: Damage | undefined;
  /** Whether the present hard link, or the present long write-ahead log, was logged. */
  #hasLoggedLinks = false;
  #hasLoggedWal = false;

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
    // First learn the epochs, whose names the outcomes need.
    const state = this.#state(log);
    return { outcomes: unpackOutcomes(outcomes, this.#epochs.name), log: state };
  }

  async read({ after, filter, limit, maxBytes, withoutData = false }: ReadQuery): Promise<Page> {
    const queryWorker = this.#lifecycle.use(this.#queryWorker);
    const names = filter && namesOf(filter);
    const { messages, scanned, examined, log } = await this.#ask(queryWorker, 'read', { after, names, limit, maxBytes, withoutData });
    // First learn the epochs, whose names the messages need.
    const state = this.#state(log);
    return { messages: unpackMessages(messages, this.#epochs.name), scanned, examined, log: state };
  }

  async state(): Promise<LogState> {
    const queryWorker = this.#lifecycle.use(this.#queryWorker);
    const damage = this.#damage;
    if (damage !== undefined) await damage.retry();
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
    await this.#callSide('keepLost', lost);
  }

  lost(): Promise<readonly LostEpoch[]> {
    return this.#callSide('lost', undefined);
  }

  close(): Promise<void> {
    return this.#lifecycle.close();
  }

  async #open(): Promise<{ logId: string; log: LogState }> {
    const options = { file: this.#file, lockWaitMs: this.#lockWaitMs, logger: this.#logger, sharedFiles: this.#sharedFiles };
    this.#writer ??= new SupervisedWorker({ ...options, name: 'writer', onLost: () => closeLostFiles(this.#queryWorker) });
    const { opened, log } = await this.#writer.call('open', undefined);
    this.#writer.opened = opened;
    this.#queryWorker = new SupervisedWorker({ ...options, name: 'query worker', opened, onLost: () => closeLostFiles(this.#writer) });
    return { logId: opened.logId, log: this.#state(log) };
  }

  async #close(): Promise<void> {
    await this.#queryWorker?.close();
    // The writer comes last: the last connection to close empties the write-ahead log.
    await this.#writer?.close();
  }

  /** Calls the writer with a job that is acknowledged (`ACKNOWLEDGED`). Rejects while damage is known. */
  async #acknowledged<Name extends Call>(name: Name, argument: Calls[Name]['argument'], transfer?: Transferable[]): Promise<Calls[Name]['value']> {
    const writer = this.#lifecycle.use(this.#writer);
    if (this.#damage !== undefined) throw this.#damage.error;
    const value = await writer.call(name, argument, transfer);
    // A read may have found damage meanwhile.
    const damage = this.#damage as Damage | undefined;
    if (damage !== undefined) throw toUnknownError(damage.error);
    return value;
  }

  async #callSide<Name extends SideCall>(name: Name, argument: SideCalls[Name]['argument']): Promise<SideCalls[Name]['answer']> {
    const { answer, log } = await this.#perform(SIDE_EFFECTS[name], name, argument);
    this.#state(log);
    return answer;
  }

  async #callErasures<Name extends keyof ErasureCalls>(name: Name, argument: ErasureCalls[Name]['argument']): Promise<{ readonly answer: ErasureCalls[Name]['answer']; readonly log: LogState }> {
    const { answer, log } = await this.#perform(ERASURE_EFFECTS[name], name, argument);
    return { answer, log: this.#state(log) };
  }

  #perform<Name extends Call>(effect: Effect, name: Name, argument: Calls[Name]['argument']): Promise<Calls[Name]['value']> {
    if (effect === 'commit') return this.#acknowledged(name, argument);
    return this.#ask(this.#lifecycle.use(effect === 'read' ? this.#queryWorker : this.#writer), name, argument);
  }

  async #wipe(): Promise<Wiped> {
    const { wiped, log } = await this.#ask(this.#lifecycle.use(this.#writer), 'wipe', undefined);
    this.#state(log);
    return wiped;
  }

  /** Calls a worker, and remembers the first call that finds damage. */
  async #ask<Name extends Call>(worker: SupervisedWorker, name: Name, argument: Calls[Name]['argument']): Promise<Calls[Name]['value']> {
    try {
      return await worker.call(name, argument);
    } catch (error) {
      if (error instanceof DamageError) this.#damage ??= { error, retry: () => worker.call(name, argument) };
      throw error;
    }
  }

  /** Logs an error if the file gets a second name. A hard link alone does no harm, so this process goes on. No process opens a file with two names (database-files.ts). */
  #watchLinks(links: number): void {
    if (links > 1 && !this.#hasLoggedLinks) {
      this.#logger.error({ links }, `DATABASE_URL: the file ${this.#file} was given another name (a hard link): remove it, or Tidings does not start again. It is no backup: it changes with the file`);
    }
    this.#hasLoggedLinks = links > 1;
  }

  /** Warns of a long write-ahead log. While another program reads, SQLite cannot empty the log, and it grows with each publish. */
  #watchWal(walBytes: number): void {
    if (walBytes >= WAL_HELD_BYTES && !this.#hasLoggedWal) {
      this.#logger.warn({ walBytes }, `the write-ahead log ${this.#file}-wal grows with each publish: another program, maybe a backup, has been reading ${this.#file} in one long transaction, so the write-ahead log cannot be emptied. It shrinks when that transaction ends`);
      this.#hasLoggedWal = true;
    }
    if (walBytes < WAL_MAX_BYTES) this.#hasLoggedWal = false;
  }

  /** The state of the log, from a worker's answer. */
  #state({ head, oldest, now, epochs, erasures }: Snapshot): LogState {
    if (epochs !== undefined) this.#epochs.learn(epochs);
    return { lineage: this.#epochs.lineage, oldest, head, now, erasures };
  }
}

function namesOf({ topics, patterns }: Filter): string[] {
  return [...topics, ...patterns];
}

/** Makes a worker close its connection if its files are lost. The job fails if it found such a file. It fails also if the worker ended, which closes everything. */
function closeLostFiles(worker: SupervisedWorker | undefined): void {
  worker?.call('look', undefined).catch(() => undefined);
}
