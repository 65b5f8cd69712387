import type { ChildProcess } from 'node:child_process';
import type { FromWorker, ToWorker } from './protocol.ts';

/** How many looks a listening worker may be silent. Both its heartbeats and the looks come every second. */
const SILENT_WORKER_MAX_BEATS = 10;
/** The same before it listens: loading blocks its event loop, for a long time on a busy machine. */
const STARTING_WORKER_MAX_BEATS = 120;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The members of a child process that this room uses. */
export type WorkerChild = Pick<ChildProcess, 'on' | 'send' | 'kill' | 'pid' | 'connected'>;

export interface WorkerEvents {
  heard(worker: WorkerProcess, message: FromWorker): void;
  /** The process could not be started or signalled. */
  failed(worker: WorkerProcess, error: Error): void;
  ended(worker: WorkerProcess, exit: Exit): void;
}

/** The supervisor's view of one process of a worker, from its start until its end. */
export class WorkerProcess {
  readonly number: number;
  readonly startedAt: number;
  readonly #child: WorkerChild;
  #silentBeats = 0;
  #hasListened = false;
  #isReady = false;
  #isFrozen = false;
  #isToldToEnd = false;
  #hasBegunToEnd = false;
  #toldOthers = 0;
  #instance: string | undefined;

  constructor(number: number, startedAt: number, child: WorkerChild, events: WorkerEvents) {
    this.number = number;
    this.startedAt = startedAt;
    this.#child = child;
    child.on('message', (message) => {
      const said = message as FromWorker;
      this.#silentBeats = 0;
      if (said.kind === 'beat') {
        this.#isReady = said.isReady;
        this.#hasBegunToEnd ||= this.#isToldToEnd && !said.isReady;
      } else if (said.kind === 'listens') this.#hasListened = true;
      else if (said.kind === 'begins') this.#instance = said.instance;
      events.heard(this, said);
    });
    child.on('exit', (code, signal) => {
      this.#isReady = false;
      events.ended(this, { code, signal });
    });
    child.on('error', (error) => {
      events.failed(this, error);
      // A process that could not be started emits no `exit`.
      if (child.pid === undefined) events.ended(this, { code: null, signal: null });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The worker's id for other instances; undefined before its `begins`. */
  get instance(): string | undefined {
    return this.#instance;
  }

  get isReady(): boolean {
    return this.#isReady && !this.#isFrozen;
  }

  /** Whether the supervisor killed it because it was silent. */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** Whether the worker has obeyed an `end`: it is no longer ready. */
  get hasBegunToEnd(): boolean {
    return this.#hasBegunToEnd;
  }

  /**
   * Counts a look without a message from the worker. It counts looks, not time, because a machine that slept has frozen the supervisor too.
   * @returns Whether the worker has been silent for too long.
   */
  look(): boolean {
    this.#silentBeats++;
    return !this.#isFrozen && this.#silentBeats > (this.#hasListened ? SILENT_WORKER_MAX_BEATS : STARTING_WORKER_MAX_BEATS);
  }

  /** Kills a frozen worker. Otherwise the kernel would still assign connections to it. */
  killFrozen(): void {
    this.#isFrozen = true;
    this.kill();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Sends the number of other ready workers, if it has changed. */
  tellOthers(ready: number): void {
    if (ready === this.#toldOthers) return;
    this.#toldOthers = ready;
    this.tell({ kind: 'others', ready });
  }

  tell(message: ToWorker): void {
    if (message.kind === 'end') this.#isToldToEnd = true;
    // A worker that has just ended cannot get messages.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }
}
