import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { Lineage, type LogState } from '../../model/epochs.ts';
import { StoreError, type Appended, type AppendRequest, type Page, type ReadQuery, type Sought, type Store, type Trimmed, type TrimPolicy } from '../store.ts';
import type { EpochRow, Snapshot } from './log-state.ts';
import { SupervisedWorker } from './supervised-worker.ts';
import { packRequests, unpackMessages, unpackOutcomes } from './worker-packing.ts';

/** How long a call waits for the lock that another process holds on the database. */
const LOCK_WAIT_MS = 5_000;

export interface SqliteOptions {
  /** The path of the database. It and its folder are made if they are missing. */
  readonly file: string;
  readonly logger: Pick<Logger, 'error'>;
  /** `LOCK_WAIT_MS` if absent. */
  readonly lockWaitMs?: number;
}

/**
 * The log in a SQLite file, which several processes of one host may share. SQLite waits for locks and disks in the
 * thread that calls it: here these are two workers, the writer and the query worker.
 */
export class SqliteStore implements Store {
  readonly #file: string;
  readonly #lockWaitMs: number;
  readonly #logger: Pick<Logger, 'error'>;
  readonly #epochs = new Epochs();
  #writer: SupervisedWorker | undefined;
  #queryWorker: SupervisedWorker | undefined;
  #opening: Promise<LogState> | undefined;
  #closing: Promise<void> | undefined;
  #logId: string | undefined;

  constructor({ file, logger, lockWaitMs = LOCK_WAIT_MS }: SqliteOptions) {
    this.#file = resolve(file);
    this.#logger = logger;
    this.#lockWaitMs = lockWaitMs;
  }

  get logId(): string {
    if (this.#logId === undefined) throw notOpen();
    return this.#logId;
  }

  open(): Promise<LogState> {
    if (this.#closing !== undefined) return Promise.reject(notOpen());
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<LogState> {
    this.#writer ??= new SupervisedWorker({ name: 'writer', file: this.#file, lockWaitMs: this.#lockWaitMs, logger: this.#logger });
    const { opened, log } = await this.#writer.call('open', undefined);
    this.#writer.opened = opened;
    this.#queryWorker = new SupervisedWorker({ name: 'query worker', file: this.#file, lockWaitMs: this.#lockWaitMs, logger: this.#logger, opened });
    this.#logId = opened.logId;
    return this.#state(log);
  }

  async append(requests: readonly AppendRequest[]): Promise<Appended> {
    const writer = this.#use(this.#writer);
    const packed = packRequests(requests);
    const { outcomes, log } = await writer.call('append', packed, [packed.bytes, packed.numbers.buffer]);
    const state = this.#state(log);
    return { outcomes: unpackOutcomes(outcomes, this.#epochs.name), log: state };
  }

  async read({ after, filter, limit, maxBytes }: ReadQuery): Promise<Page> {
    const names = filter && [...filter.topics, ...filter.patterns];
    const { messages, scanned, examined, log } = await this.#use(this.#queryWorker).call('read', { after, names, limit, maxBytes });
    const state = this.#state(log);
    return { messages: unpackMessages(messages, this.#epochs.name), scanned, examined, log: state };
  }

  async state(): Promise<LogState> {
    const { log } = await this.#use(this.#queryWorker).call('state', undefined);
    return this.#state(log);
  }

  async seek(time: number): Promise<Sought> {
    const { log, ...sought } = await this.#use(this.#queryWorker).call('seek', { time });
    return { ...sought, log: this.#state(log) };
  }

  async trim(policy: TrimPolicy): Promise<Trimmed> {
    const { log, ...trimmed } = await this.#use(this.#writer).call('trim', policy);
    return { ...trimmed, log: this.#state(log) };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // An opening that is under way would boot the query worker after this.
    await this.#opening?.catch(() => undefined);
    await this.#queryWorker?.close();
    // Last, because only the last connection to the file that closes can clear the write-ahead log away.
    await this.#writer?.close();
  }

  #use(worker: SupervisedWorker | undefined): SupervisedWorker {
    if (worker === undefined || this.#logId === undefined || this.#closing !== undefined) throw notOpen();
    return worker;
  }

  #state({ head, oldest, now, epochs }: Snapshot): LogState {
    if (epochs !== undefined) this.#epochs.learn(epochs);
    return { lineage: this.#epochs.lineage, oldest, head, now };
  }
}

/** The epochs of the log, as far as either worker has reported them; one `Lineage` is shared by every state. */
class Epochs {
  lineage = new Lineage([]);
  #newest = 0;
  #names = new Map<number, string>();

  learn(rows: readonly EpochRow[]): void {
    const newest = rows.at(-1)?.id ?? 0;
    // The workers' reports may cross: the shorter one is the older.
    if (newest <= this.#newest) return;
    this.#newest = newest;
    this.#names = new Map(rows.map(({ id, epoch }) => [id, epoch]));
    this.lineage = new Lineage(rows.map(({ epoch, first }) => ({ epoch, first })));
  }

  /** The name of an epoch that a row refers to. */
  readonly name = (id: number): string => {
    const name = this.#names.get(id);
    if (name === undefined) throw new StoreError('unavailable', `the database file is damaged: it names an epoch (${id}) that it does not hold`);
    return name;
  };
}

function notOpen(): StoreError {
  return new StoreError('unavailable', 'the store is not open');
}
