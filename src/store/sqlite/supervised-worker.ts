import { Worker, type Transferable } from 'node:worker_threads';
import type { Logger } from 'pino';
import { StoreError } from '../store.ts';
import { monotonic } from './files/connection.ts';
import { DamageError } from './files/errors.ts';
import { JobClaims } from './job-claims.ts';
import type { Opener, SharedFiles } from './shared-files.ts';
import { ACKNOWLEDGED, type Call, type Calls, type Job, type Opened, type Reply, type WorkerData } from './worker-protocol.ts';

/** The pause before a worker that ended boots again. It doubles each time, up to the maximum, until a job succeeds. */
const WORKER_BOOT_MIN_MS = 100;
const WORKER_BOOT_MAX_MS = 5_000;

/** `open` waits for the lock this many times longer than other calls. The worker must boot first, and other processes may be migrating the database one after the other. */
const OPEN_PATIENCE_FACTOR = 6;

/**
 * How long one job may take, besides its wait for a lock. After that the worker counts as silent, because a disk that hangs reports no error. Stops such a
 * disk from blocking publishers, readers and the end of the process.
 */
const JOB_MS = 5_000;
/** Extra time for an answer that has come but was not read yet. If this process itself was stopped for seconds, its timers fire before it reads answers. */
const JOB_GRACE_MS = 500;

/** A job that was sent, and whose answer has not come. */
interface Waiting {
  readonly name: Call;
  /** How long the job may wait for a lock, in milliseconds. */
  readonly patience: number;
  readonly resolve: (value: never) => void;
  readonly reject: (error: StoreError) => void;
}

export interface SupervisedWorkerOptions {
  /** The name of the worker in log lines. */
  readonly name: 'writer' | 'query worker';
  /** The path of the database. */
  readonly file: string;
  readonly sharedFiles: SharedFiles;
  /** Called if the worker found that a file beside the database is lost. The other worker must close that file before either can connect again. */
  readonly onLost: () => void;
  /** How long a call waits for another process to release the lock of the database, in milliseconds. */
  readonly lockWaitMs: number;
  readonly logger: Pick<Logger, 'error'>;
  /** The database that the worker must find. Absent for the worker that opens the database first. */
  readonly opened?: Opened;
}

/**
 * The main thread's end of one worker. Calls reject with a `StoreError` and nothing else, and never wait without end.
 *
 *     booting ──► answering ──(a job takes too long)──► silent ──(any answer)──► answering
 *        ▲            │                                   │
 *        └── pause ◄──┴──────────── the thread ends ◄─────┘
 *
 * When the worker falls silent or ends, all waiting calls reject. Calls also reject at once while it is silent, or while no thread runs. A silent worker
 * never performs the jobs that it had not begun (job-claims.ts), so certainly nothing of them is stored.
 */
export class SupervisedWorker {
  readonly #name: string;
  readonly #file: string;
  readonly #opener: Opener;
  readonly #sharedFiles: SharedFiles;
  readonly #onLost: () => void;
  readonly #lockWaitMs: number;
  readonly #logger: Pick<Logger, 'error'>;
  /** The jobs without an answer, in their order: the first is the worker's present job. */
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  /** The jobs of the running worker. */
  #claims = new JobClaims();
  /** Fires when the present job takes too long. */
  #silence: NodeJS.Timeout | undefined;
  #isSilent = false;
  #opened: Opened | undefined;
  #nextId = 1;
  #bootDelay = WORKER_BOOT_MIN_MS;
  #bootTimer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  constructor({ name, file, sharedFiles, onLost, lockWaitMs, logger, opened }: SupervisedWorkerOptions) {
    this.#name = name;
    this.#file = file;
    this.#opener = name === 'writer' ? 0 : 1;
    this.#sharedFiles = sharedFiles;
    this.#onLost = onLost;
    this.#lockWaitMs = lockWaitMs;
    this.#logger = logger;
    this.#opened = opened;
    this.#boot();
  }

  get #silenceSentence(): string {
    return `the database's ${this.#name} does not answer: the disk may hang`;
  }

  /** The database that a worker must find when it boots from now on. */
  set opened(opened: Opened) {
    this.#opened = opened;
  }

  call<Name extends Call>(name: Name, argument: Calls[Name]['argument'], transfer: Transferable[] = []): Promise<Calls[Name]['value']> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.reject(new StoreError('unavailable', `the database's ${this.#name} has ended and boots again soon`));
    // A silent worker still gets `close`, so that it closes if it answers again.
    if (this.#isSilent && name !== 'close') return Promise.reject(new StoreError('unavailable', this.#silenceSentence));
    return new Promise((resolve, reject) => {
      const patience = name === 'open' ? this.#lockWaitMs * OPEN_PATIENCE_FACTOR : this.#lockWaitMs;
      const job: Job<Name> = { id: this.#nextId++, name, argument, deadline: monotonic() + patience };
      this.#waiting.set(job.id, { name, patience, resolve, reject });
      if (this.#waiting.size === 1) this.#watchNext();
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
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    worker.once('exit', end);
    const timer = setTimeout(() => {
      this.#logger.error(`the database's ${this.#name} did not end in time`);
      void worker.terminate();
      // Do not wait for `terminate`: it cannot end a thread whose disk hangs.
      end();
    }, this.#lockWaitMs + JOB_MS);
    // A failed `close` does not end the thread.
    this.call('close', undefined).catch((error: unknown) => {
      this.#logger.error({ err: error }, `the database's ${this.#name} did not close`);
      void worker.terminate();
    });
    await ended;
    clearTimeout(timer);
  }

  #boot(): void {
    this.#claims = new JobClaims();
    // The first job of this thread is `#nextId`.
    this.#claims.giveUp(this.#nextId - 1);
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: `sqlite ${this.#name}`,
      workerData: { file: this.#file, opener: this.#opener, sharedFiles: this.#sharedFiles.shared, claims: this.#claims.shared, opened: this.#opened } satisfies WorkerData,
    });
    worker.on('message', (reply: Reply) => this.#settle(reply));
    // Without this listener, an error in the worker would end the process. The event 'exit' follows.
    worker.on('error', (error) => this.#logger.error({ err: error }, `the database's ${this.#name} failed`));
    worker.on('messageerror', (error) => {
      this.#logger.error({ err: error }, `an answer of the database's ${this.#name} could not be read`);
      void worker.terminate();
    });
    worker.on('exit', () => this.#ended());
    this.#worker = worker;
  }

  /** Starts the timeout of the worker's next job, because it begins now. */
  #watchNext(): void {
    clearTimeout(this.#silence);
    const [next] = this.#waiting.values();
    if (next === undefined) return;
    this.#silence = setTimeout(() => {
      this.#silence = setTimeout(() => this.#fallSilent(), JOB_GRACE_MS);
    }, next.patience + JOB_MS);
  }

  /** The worker hangs in its present job. Gives up that job, and all jobs after it. */
  #fallSilent(): void {
    this.#isSilent = true;
    const begun = this.#claims.giveUp(this.#nextId - 1);
    this.#logger.error(this.#silenceSentence);
    for (const [id, { name, reject }] of this.#waiting) {
      // Invariant 1: a job that has begun may be committed already, or later.
      reject(new StoreError(ACKNOWLEDGED.has(name) && id <= begun ? 'outcome-unknown' : 'unavailable', this.#silenceSentence));
    }
    this.#waiting.clear();
  }

  /** Takes an answer of the worker. */
  #settle({ id, value, failure }: Reply): void {
    this.#isSilent = false;
    if (failure?.isLost === true) this.#onLost();
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    this.#watchNext();
    this.#bootDelay = WORKER_BOOT_MIN_MS;
    if (failure === undefined) waiting.resolve(value as never);
    else waiting.reject(failure.isDamage ? new DamageError(failure.message) : new StoreError(failure.kind, failure.message));
  }

  /** The thread has ended. */
  #ended(): void {
    this.#worker = undefined;
    this.#sharedFiles.abandon(this.#opener);
    for (const { name, reject } of this.#waiting.values()) {
      // Invariant 1: the worker may have ended before the commit or after it.
      reject(new StoreError(ACKNOWLEDGED.has(name) ? 'outcome-unknown' : 'unavailable', `the database's ${this.#name} ended in the middle of its work`));
    }
    this.#waiting.clear();
    clearTimeout(this.#silence);
    this.#isSilent = false;
    if (this.#closed !== undefined) return;
    this.#logger.error(`the database's ${this.#name} ended; it boots again in ${this.#bootDelay} ms`);
    this.#bootTimer = setTimeout(() => this.#boot(), this.#bootDelay);
    this.#bootDelay = Math.min(this.#bootDelay * 2, WORKER_BOOT_MAX_MS);
  }
}
