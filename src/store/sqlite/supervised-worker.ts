import { Worker, type Transferable } from 'node:worker_threads';
import type { Logger } from 'pino';
import { StoreError } from '../store.ts';
import { monotonic } from './connection.ts';
import type { Call, Calls, Job, Opened, Reply, WorkerData } from './worker-protocol.ts';

/** The pause before a worker that ended boots again; it doubles up to the maximum each time. */
const WORKER_BOOT_MIN_MS = 100;
const WORKER_BOOT_MAX_MS = 5_000;

/**
 * How many times longer than other calls `open` waits for the lock. Other processes may be migrating the database one
 * after the other, and the worker boots first.
 */
const OPEN_PATIENCE_FACTOR = 6;

/** How long a worker may take to close, beyond what it may wait for a lock. Stops a worker that hangs from keeping the process alive. */
const WORKER_CLOSE_MS = 5_000;

interface Waiting {
  readonly name: Call;
  readonly resolve: (value: never) => void;
  readonly reject: (error: StoreError) => void;
}

export interface SupervisedWorkerOptions {
  /** What the worker is called in the logs. */
  readonly name: 'writer' | 'query worker';
  /** The path of the database. */
  readonly file: string;
  /** How long a call waits for the lock that another process holds on the database, in milliseconds. */
  readonly lockWaitMs: number;
  readonly logger: Pick<Logger, 'error'>;
  /** The database that the worker must find. The worker that opens the database finds out itself. */
  readonly opened?: Opened;
}

/** The main thread's end of one worker, which boots again when it ends. Its calls reject with a `StoreError` and nothing else. */
export class SupervisedWorker {
  readonly #name: string;
  readonly #file: string;
  readonly #lockWaitMs: number;
  readonly #logger: Pick<Logger, 'error'>;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #opened: Opened | undefined;
  #nextId = 1;
  #bootDelay = WORKER_BOOT_MIN_MS;
  #bootTimer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  constructor({ name, file, lockWaitMs, logger, opened }: SupervisedWorkerOptions) {
    this.#name = name;
    this.#file = file;
    this.#lockWaitMs = lockWaitMs;
    this.#logger = logger;
    this.#opened = opened;
    this.#boot();
  }

  /** What workers that boot from now on must find. */
  set opened(opened: Opened) {
    this.#opened = opened;
  }

  call<Name extends Call>(name: Name, argument: Calls[Name]['argument'], transfer: Transferable[] = []): Promise<Calls[Name]['value']> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.reject(new StoreError('unavailable', `the database's ${this.#name} has ended and boots again soon`));
    return new Promise((resolve, reject) => {
      const patience = name === 'open' ? this.#lockWaitMs * OPEN_PATIENCE_FACTOR : this.#lockWaitMs;
      const job: Job<Name> = { id: this.#nextId++, name, argument, deadline: monotonic() + patience };
      this.#waiting.set(job.id, { name, resolve, reject });
      worker.postMessage(job, transfer);
    });
  }

  /** Lets the worker finish its jobs, and ends it. Never rejects. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#bootTimer);
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    const timer = setTimeout(() => {
      this.#logger.error(`the database's ${this.#name} did not end in time`);
      void worker.terminate();
    }, this.#lockWaitMs + WORKER_CLOSE_MS);
    // A worker that fails to close ends here, too.
    this.call('close', undefined).catch((error: unknown) => {
      this.#logger.error({ err: error }, `the database's ${this.#name} did not close`);
      void worker.terminate();
    });
    await ended;
    clearTimeout(timer);
  }

  #boot(): void {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: `sqlite ${this.#name}`,
      workerData: { file: this.#file, opened: this.#opened } satisfies WorkerData,
    });
    worker.on('message', (reply: Reply) => this.#settle(reply));
    // Without this listener an error in the worker would end the process. 'exit' follows.
    worker.on('error', (error) => this.#logger.error({ err: error }, `the database's ${this.#name} failed`));
    worker.on('messageerror', (error) => {
      this.#logger.error({ err: error }, `an answer of the database's ${this.#name} could not be read`);
      void worker.terminate();
    });
    worker.on('exit', () => this.#ended());
    this.#worker = worker;
  }

  #settle({ id, value, failure }: Reply): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    this.#bootDelay = WORKER_BOOT_MIN_MS;
    if (failure === undefined) waiting.resolve(value as never);
    else waiting.reject(new StoreError(failure.kind, failure.message));
  }

  #ended(): void {
    this.#worker = undefined;
    for (const { name, reject } of this.#waiting.values()) {
      // Invariant 1: the worker may have ended before the commit or after it.
      reject(new StoreError(name === 'append' ? 'outcome-unknown' : 'unavailable', `the database's ${this.#name} ended in the middle of its work`));
    }
    this.#waiting.clear();
    if (this.#closed !== undefined) return;
    this.#logger.error(`the database's ${this.#name} ended; it boots again in ${this.#bootDelay} ms`);
    this.#bootTimer = setTimeout(() => this.#boot(), this.#bootDelay);
    this.#bootDelay = Math.min(this.#bootDelay * 2, WORKER_BOOT_MAX_MS);
  }
}
