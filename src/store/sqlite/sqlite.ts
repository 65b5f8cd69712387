import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { Lineage, type LogState } from '../../model/epochs.ts';
import { StoreError, type Appended, type AppendRequest, type Page, type ReadQuery, type Sought, type Store, type Trimmed, type TrimPolicy } from '../store.ts';
import type { EpochRow, Snapshot } from './log-state.ts';
import { packRequests, unpackMessages, unpackOutcomes } from './worker-packing.ts';
import { Thread } from './supervised-worker.ts';

/** How long a call waits for the lock that another process holds on the database, in milliseconds. */
export const LOCK_WAIT = 5_000;

export interface SqliteOptions {
  /** The path of the database. It and its folder are made if they are missing. */
  readonly file: string;
  readonly logger: Pick<Logger, 'error'>;
  /** In milliseconds; `LOCK_WAIT` if absent. */
  readonly lockWait?: number;
}

/**
 * The log in a SQLite file, which several processes of one host may share. SQLite waits for locks and disks in the
 * thread that calls it: here these are two workers, one that writes and one that reads.
 */
export class SqliteStore implements Store {
  readonly #file: string;
  readonly #lockWait: number;
  readonly #logger: Pick<Logger, 'error'>;
  readonly #epochs = new Epochs();
  #writer: Thread | undefined;
  #reader: Thread | undefined;
  #opening: Promise<LogState> | undefined;
  #closing: Promise<void> | undefined;
  #logId: string | undefined;

  constructor({ file, logger, lockWait = LOCK_WAIT }: SqliteOptions) {
    this.#file = resolve(file);
    this.#logger = logger;
    this.#lockWait = lockWait;
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
    this.#writer ??= new Thread('writer', this.#file, this.#lockWait, this.#logger);
    const { opened, log } = await this.#writer.call('open', undefined);
    this.#writer.opened = opened;
    this.#reader = new Thread('reader', this.#file, this.#lockWait, this.#logger, opened);
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
    const { messages, scanned, examined, log } = await this.#use(this.#reader).call('read', { after, names, limit, maxBytes });
    const state = this.#state(log);
    return { messages: unpackMessages(messages, this.#epochs.name), scanned, examined, log: state };
  }

  async state(): Promise<LogState> {
    const { log } = await this.#use(this.#reader).call('state', undefined);
    return this.#state(log);
  }

  async seek(time: number): Promise<Sought> {
    const { log, ...sought } = await this.#use(this.#reader).call('seek', { time });
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
    // One that is under way would start the reader after this.
    await this.#opening?.catch(() => undefined);
    await this.#reader?.close();
    // Last, because the last connection to close is the one that can clear the write-ahead log away.
    await this.#writer?.close();
  }

  #use(thread: Thread | undefined): Thread {
    if (thread === undefined || this.#logId === undefined || this.#closing !== undefined) throw notOpen();
    return thread;
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
