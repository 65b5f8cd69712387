import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { LogState } from '../../model/epochs.ts';
import { StoreLifecycle } from '../store-lifecycle.ts';
import type { Appended, AppendRequest, Page, ReadQuery, Sought, Store, Trimmed, TrimPolicy } from '../store.ts';
import { KnownEpochs } from './known-epochs.ts';
import type { Snapshot } from './log-state.ts';
import { SupervisedWorker } from './supervised-worker.ts';
import { packRequests, unpackMessages, unpackOutcomes } from './worker-packing.ts';

/**
 * The room `sqlite` keeps the log in a file, which several processes of one host may share. SQLite waits for locks and disks in the thread
 * that calls it, so two workers call it: the writer and the query worker (worker.ts). Calls of the store come in on the main thread and go
 * to a worker as jobs (supervised-worker.ts), packed so that little is copied (worker-packing.ts). What a worker answers is unpacked here.
 */

/** How long a call waits for the lock that another process holds on the database. */
const LOCK_WAIT_MS = 5_000;

export interface SqliteOptions {
  /** The path of the database. It and its folder are made if they are missing. */
  readonly file: string;
  readonly logger: Pick<Logger, 'error'>;
  /** `LOCK_WAIT_MS` if absent. */
  readonly lockWaitMs?: number;
}

/** The store's main-thread side. It begins no transaction and touches no file. */
export class SqliteStore implements Store {
  readonly #file: string;
  readonly #logger: Pick<Logger, 'error'>;
  readonly #lockWaitMs: number;
  readonly #lifecycle = new StoreLifecycle({ open: () => this.#open(), close: () => this.#close() });
  readonly #epochs = new KnownEpochs();
  #writer: SupervisedWorker | undefined;
  #queryWorker: SupervisedWorker | undefined;

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
    const writer = this.#lifecycle.use(this.#writer);
    const packed = packRequests(requests);
    const { outcomes, log } = await writer.call('append', packed, [packed.bytes, packed.numbers.buffer]);
    const state = this.#state(log);
    return { outcomes: unpackOutcomes(outcomes, this.#epochs.name), log: state };
  }

  async read({ after, filter, limit, maxBytes }: ReadQuery): Promise<Page> {
    const queryWorker = this.#lifecycle.use(this.#queryWorker);
    const names = filter && [...filter.topics, ...filter.patterns];
    const { messages, scanned, examined, log } = await queryWorker.call('read', { after, names, limit, maxBytes });
    const state = this.#state(log);
    return { messages: unpackMessages(messages, this.#epochs.name), scanned, examined, log: state };
  }

  async state(): Promise<LogState> {
    const { log } = await this.#lifecycle.use(this.#queryWorker).call('state', undefined);
    return this.#state(log);
  }

  async seek(time: number): Promise<Sought> {
    const { log, ...sought } = await this.#lifecycle.use(this.#queryWorker).call('seek', { time });
    return { ...sought, log: this.#state(log) };
  }

  async trim(policy: TrimPolicy): Promise<Trimmed> {
    const { log, ...trimmed } = await this.#lifecycle.use(this.#writer).call('trim', policy);
    return { ...trimmed, log: this.#state(log) };
  }

  close(): Promise<void> {
    return this.#lifecycle.close();
  }

  async #open(): Promise<{ logId: string; log: LogState }> {
    const options = { file: this.#file, lockWaitMs: this.#lockWaitMs, logger: this.#logger };
    this.#writer ??= new SupervisedWorker({ ...options, name: 'writer' });
    const { opened, log } = await this.#writer.call('open', undefined);
    this.#writer.opened = opened;
    this.#queryWorker = new SupervisedWorker({ ...options, name: 'query worker', opened });
    return { logId: opened.logId, log: this.#state(log) };
  }

  async #close(): Promise<void> {
    await this.#queryWorker?.close();
    // Last, because only the last connection to the file that closes can clear the write-ahead log away.
    await this.#writer?.close();
  }

  #state({ head, oldest, now, epochs }: Snapshot): LogState {
    if (epochs !== undefined) this.#epochs.learn(epochs);
    return { lineage: this.#epochs.lineage, oldest, head, now };
  }
}
