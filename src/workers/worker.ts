import cluster from 'node:cluster';
import type { Readiness } from '../http/service.ts';
import { within, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { Warning } from '../runtime/logging/warnings.ts';
import type { WorkerPlace } from './place.ts';
import type { FromWorker, ToWorker, WorkerPort } from './protocol.ts';
import { ENDING_SIGNALS, type EndingSignal } from './signals.ts';

/** How often a worker sends a heartbeat. */
const BEAT_EVERY_MS = 1_000;
/** How long to wait for the metrics of all workers: longer than the supervisor waits for a worker. */
const COLLECT_MAX_MS = 4_000;

export interface WorkerDependencies {
  readonly place: WorkerPlace;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'error'>;
}

/** What a worker needs to answer its supervisor. */
export interface WorkerDuties {
  /** The id of this worker for the other instances. */
  readonly instance: string;
  /** Another worker of this machine has ended. */
  readonly onGone: (instance: string) => void;
  /** Whether this worker is ready. */
  readonly isReady: () => boolean;
  /** The metrics of this worker. */
  readonly render: () => Promise<string>;
}

/** The worker's side of `protocol.ts`. A worker reports its state, and ends on the supervisor's order, or when the supervisor is gone. */
export class Worker {
  readonly place: WorkerPlace;
  readonly #clock: Clock;
  readonly #logger: WorkerDependencies['logger'];
  #duties: WorkerDuties | undefined;
  #readyOthers = 0;
  #supervisorWarnings: readonly Warning[] = [];
  #isServiceEnding = false;
  #endedBy: EndingSignal | undefined;
  #end: ((signal: EndingSignal) => void) | undefined;
  #collection: { readonly id: number; readonly promise: Promise<string>; readonly resolve: (text: string) => void } | undefined;
  #collections = 0;

  constructor({ place, clock, logger }: WorkerDependencies) {
    this.place = place;
    this.#clock = clock;
    this.#logger = logger;
    for (const signal of ENDING_SIGNALS) process.on(signal, () => this.#endOnce(signal));
    process.on('message', (message: ToWorker) => this.#hear(message));
    // After this event, Node ends the process, which frees the port for the next supervisor.
    cluster.worker!.on('disconnect', () => this.#logger.error({}, 'the supervisor of the workers is gone, so this worker ends'));
  }

  /** Begins the heartbeats. */
  open(duties: WorkerDuties): void {
    this.#duties = duties;
    this.#send({ kind: 'begins', instance: duties.instance });
    this.#beat();
  }

  /** The latest warnings of the supervisor. */
  get supervisorWarnings(): readonly Warning[] {
    return this.#supervisorWarnings;
  }

  /** @param end Called once, to end this process gracefully. */
  whenEnded(end: (signal: EndingSignal) => void): void {
    this.#end = end;
    if (this.#endedBy !== undefined) end(this.#endedBy);
  }

  tellAccepting(port: WorkerPort): void {
    this.#send({ kind: 'accepts', port });
  }

  /** Reports that the log is open and the port listens. @param greeting The text that a single process would print. */
  tellListening(greeting: string): void {
    this.#tellReady();
    this.#send({ kind: 'listens', greeting });
  }

  /** The readiness of all workers of this machine. A balancer sees only the shared port: a worker that is not ready must not make it remove the others. */
  readiness(own: Readiness): Readiness {
    if (own.ready) return { ...own, detail: { ...own.detail, readyWorkers: this.#readyOthers + 1 } };
    if (this.#isServiceEnding || this.#readyOthers === 0) return own;
    return { ready: true, status: 'degraded', detail: { ...own.detail, worker: own.status, readyWorkers: this.#readyOthers } };
  }

  /** The metrics of all workers and of the supervisor; only of this worker if the supervisor does not answer. */
  async metrics(): Promise<string> {
    const duties = this.#duties;
    if (duties === undefined) return '';
    if (this.#collection === undefined) {
      const id = ++this.#collections;
      this.#collection = { id, ...Promise.withResolvers<string>() };
      this.#send({ kind: 'collect', id });
    }
    const { promise } = this.#collection;
    const all = await within(this.#clock, COLLECT_MAX_MS, promise);
    // The next call begins a new collection.
    if (this.#collection?.promise === promise) this.#collection = undefined;
    return all ?? duties.render();
  }

  #hear(message: ToWorker): void {
    switch (message.kind) {
      case 'end':
        this.#isServiceEnding = true;
        this.#endOnce(message.signal);
        break;
      case 'gone':
        this.#duties?.onGone(message.instance);
        break;
      case 'warned':
        this.#supervisorWarnings = message.warnings;
        break;
      case 'others':
        this.#readyOthers = message.ready;
        break;
      case 'render':
        void this.#duties?.render().then((text) => this.#send({ kind: 'rendered', id: message.id, text }));
        break;
      case 'collected':
        if (this.#collection?.id === message.id) this.#collection.resolve(message.text);
        break;
    }
  }

  #endOnce(signal: EndingSignal): void {
    if (this.#endedBy !== undefined) return;
    this.#endedBy = signal;
    this.#end?.(signal);
    this.#tellReady();
  }

  #beat(): void {
    this.#tellReady();
    this.#clock.after(BEAT_EVERY_MS, () => this.#beat());
  }

  #tellReady(): void {
    if (this.#duties !== undefined) this.#send({ kind: 'beat', isReady: this.#duties.isReady() });
  }

  /** Ignores a failure: then the supervisor is gone, and Node ends this process. */
  #send(message: FromWorker): void {
    process.send?.(message, undefined, undefined, () => undefined);
  }
}
