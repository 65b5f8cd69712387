import { Worker, type Transferable } from 'node:worker_threads';
import type { Logger } from 'pino';
import { StoreError } from '../store.ts';
import { monotonic } from './connection.ts';
import type { Call, Calls, Job, Opened, Reply, WorkerData } from './worker-protocol.ts';

/** The pause before a worker that ended is started again, in milliseconds; it doubles up to the second each time. */
const RESTART_MIN = 100;
const RESTART_MAX = 5_000;

/**
 * How many times longer than other calls the opening of a database waits for the lock: others may be migrating it one after
 * the other, and the worker's own start is a part of it.
 */
const OPEN_PATIENCE = 6;

/** How long a worker may take to finish and close, in milliseconds, beyond what it may wait for a lock. */
const CLOSE_WAIT = 5_000;

interface Waiting {
  readonly name: Call;
  readonly resolve: (value: never) => void;
  readonly reject: (error: StoreError) => void;
}

/** The main thread's end of one worker. Its calls reject with a `StoreError` and nothing else. */
export class Thread {
  readonly #name: string;
  readonly #file: string;
  readonly #lockWait: number;
  readonly #logger: Pick<Logger, 'error'>;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #opened: Opened | undefined;
  #nextId = 1;
  #restartDelay = RESTART_MIN;
  #restart: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  constructor(name: string, file: string, lockWait: number, logger: Pick<Logger, 'error'>, opened?: Opened) {
    this.#name = name;
    this.#file = file;
    this.#lockWait = lockWait;
    this.#logger = logger;
    this.#opened = opened;
    this.#start();
  }

  /** What workers started from now on must find. */
  set opened(opened: Opened) {
    this.#opened = opened;
  }

  call<Name extends Call>(name: Name, argument: Calls[Name]['argument'], transfer: Transferable[] = []): Promise<Calls[Name]['value']> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.reject(new StoreError('unavailable', `the database's ${this.#name} has ended and starts again soon`));
    return new Promise((resolve, reject) => {
      const patience = name === 'open' ? this.#lockWait * OPEN_PATIENCE : this.#lockWait;
      const job: Job<Name> = { id: this.#nextId++, name, argument, deadline: monotonic() + patience };
      this.#waiting.set(job.id, { name, resolve, reject });
      worker.postMessage(job, transfer);
    });
  }

  /** Lets the jobs that it has finish, and ends the worker. Never rejects. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#restart);
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    const timer = setTimeout(() => {
      this.#logger.error(`the database's ${this.#name} did not end in time`);
      void worker.terminate();
    }, this.#lockWait + CLOSE_WAIT);
    // It fails where the worker fails to close: then it ends all the same.
    this.call('close', undefined).catch((error: unknown) => {
      this.#logger.error({ err: error }, `the database's ${this.#name} did not close`);
      void worker.terminate();
    });
    await ended;
    clearTimeout(timer);
  }

  #start(): void {
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
    this.#restartDelay = RESTART_MIN;
    if (failure === undefined) waiting.resolve(value as never);
    else waiting.reject(new StoreError(failure.kind, failure.message));
  }

  #ended(): void {
    this.#worker = undefined;
    for (const { name, reject } of this.#waiting.values()) {
      // Invariant 1: it may have ended before the commit or after it.
      reject(new StoreError(name === 'append' ? 'outcome-unknown' : 'unavailable', `the database's ${this.#name} ended in the middle of its work`));
    }
    this.#waiting.clear();
    if (this.#closed !== undefined) return;
    this.#logger.error(`the database's ${this.#name} ended; it starts again in ${this.#restartDelay} ms`);
    this.#restart = setTimeout(() => this.#start(), this.#restartDelay);
    this.#restartDelay = Math.min(this.#restartDelay * 2, RESTART_MAX);
  }
}
