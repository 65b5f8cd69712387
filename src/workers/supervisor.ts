import type { Clock, Timer } from '../runtime/clock.ts';
import { waitAtMost } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { Warnings } from '../runtime/logging/warnings.ts';
import { Collections } from './collections.ts';
import type { FromWorker, WorkerPort } from './protocol.ts';
import { RestartPause } from './restart-pause.ts';
import type { EndingSignal } from './signals.ts';
import { WorkerProcess, type Exit, type WorkerChild } from './worker-process.ts';

/**
 * This room makes one service of several processes on one machine. The supervisor starts workers, and starts them again when they end. Each worker is an instance as `main.ts` makes it, and
 * all listen on one port. Signals and messages of workers come in; messages to workers, and the metrics of all, go out. The supervisor loads neither the store nor HTTP.
 * Read `protocol.ts` first (the messages), then `supervisor.ts` and `worker-process.ts` (the supervisor's side), and `worker.ts` (the worker's side).
 */

/** How often the supervisor looks for silent workers and for its own new warnings. */
const LOOK_EVERY_MS = 1_000;

/** Why a worker was started again, for a metric: it failed, was killed by a signal, was frozen, or ended gracefully. */
export const RESTART_REASONS = ['failed', 'killed', 'frozen', 'drained'] as const;
export type RestartReason = (typeof RESTART_REASONS)[number];

export interface SupervisorDependencies {
  readonly count: number;
  /** Starts the process of a worker. */
  readonly fork: (number: number) => WorkerChild;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** The warnings of this process. */
  readonly warnings: Pick<Warnings, 'counts' | 'newest'>;
  /** The supervisor's own metrics. @param answered The workers whose metrics came in time. */
  readonly render: (answered: ReadonlySet<number>) => Promise<string>;
  /** A worker accepts connections on a port. */
  readonly onAccepting: (port: WorkerPort) => void;
  /** Called once, when all workers listen. @param greeting The text that a single process would print. */
  readonly onAll: (greeting: string) => void;
  /** The first worker ended before it listened: the service cannot start, and the worker has logged why. */
  readonly onRefused: (exit: Exit) => void;
}

export class Supervisor {
  readonly restarts = new Map<RestartReason, number>(RESTART_REASONS.map((reason) => [reason, 0]));
  readonly #dependencies: SupervisorDependencies;
  readonly #workers = new Map<number, WorkerProcess>();
  readonly #pauses = new Map<number, RestartPause>();
  readonly #timers = new Map<number, Timer>();
  readonly #collections: Collections;
  /** The workers that have ever listened. */
  readonly #haveListened = new Set<number>();
  #ticks: Timer | undefined;
  #toldWarnings = 0;
  #isEnding = false;
  #allEnded = Promise.withResolvers<void>();
  #endedWell = true;

  constructor(dependencies: SupervisorDependencies) {
    this.#dependencies = dependencies;
    this.#collections = new Collections({ clock: dependencies.clock, workers: () => [...this.#workers.values()], render: dependencies.render });
  }

  /** How many workers are ready. */
  get ready(): number {
    return [...this.#workers.values()].filter(({ isReady }) => isReady).length;
  }

  get running(): number {
    return this.#workers.size;
  }

  /** Starts the first worker alone, so that a wrong setting, or a log that cannot be opened, is reported once. The others follow when it listens. */
  open(): void {
    this.#start(1);
    this.#tick();
  }

  /**
   * Ends all workers gracefully.
   * @param maxMs After this time, the remaining workers are killed.
   * @returns Whether all ended gracefully.
   */
  async end(signal: EndingSignal, maxMs: number): Promise<boolean> {
    this.#isEnding = true;
    for (const timer of this.#timers.values()) timer.cancel();
    for (const worker of this.#workers.values()) worker.tell({ kind: 'end', signal });
    if (this.#workers.size === 0) return this.#endedWell;
    await waitAtMost(maxMs, this.#allEnded.promise);
    if (this.#workers.size > 0) {
      this.#dependencies.logger.error({ workers: [...this.#workers.keys()] }, 'workers did not end in time, and are killed');
      this.killAll();
    }
    await this.#allEnded.promise;
    this.#ticks?.cancel();
    return this.#endedWell;
  }

  /** Kills all workers. The end then counts as failed. */
  killAll(): void {
    this.#endedWell = false;
    for (const worker of this.#workers.values()) worker.kill();
  }

  #start(number: number): void {
    const { clock, fork } = this.#dependencies;
    this.#workers.set(number, new WorkerProcess(number, clock.monotonic(), fork(number), {
      heard: (worker, message) => this.#hear(worker, message),
      failed: (worker, err) => this.#dependencies.logger.error({ number: worker.number, err }, 'the process of a worker cannot be started or signalled'),
      ended: (worker, exit) => this.#ended(worker, exit),
    }));
  }

  #hear(worker: WorkerProcess, message: FromWorker): void {
    switch (message.kind) {
      case 'begins':
        if (this.#toldWarnings > 0) this.#tellWarnings([worker]);
        break;
      case 'beat':
        this.#tellOthers();
        break;
      case 'accepts':
        this.#dependencies.onAccepting(message.port);
        break;
      case 'listens':
        this.#listens(worker, message.greeting);
        break;
      case 'collect':
        void this.#collections.collect().then((text) => worker.tell({ kind: 'collected', id: message.id, text }));
        break;
      case 'rendered':
        this.#collections.rendered(worker.number, message.id, message.text);
        break;
    }
  }

  #listens({ number, pid }: WorkerProcess, greeting: string): void {
    const { count, logger, onAll } = this.#dependencies;
    logger.info({ number, process: pid }, 'a worker listens');
    if (this.#haveListened.has(number)) return;
    this.#haveListened.add(number);
    if (this.#haveListened.size === 1 && !this.#isEnding) for (let other = 2; other <= count; other++) this.#start(other);
    if (this.#haveListened.size === count) onAll(greeting);
  }

  /** Sends each worker the number of other ready workers. */
  #tellOthers(): void {
    const { ready } = this;
    for (const worker of this.#workers.values()) worker.tellOthers(ready - (worker.isReady ? 1 : 0));
  }

  #ended(worker: WorkerProcess, exit: Exit): void {
    const { number } = worker;
    if (this.#workers.get(number) !== worker) return;
    this.#workers.delete(number);
    this.#collections.gone();
    if (this.#isEnding) {
      this.#endedWhileEnding(worker, exit);
      if (this.#workers.size === 0) this.#allEnded.resolve();
      return;
    }
    // Send `gone` before the log line, because its reader may list the instances at once.
    if (worker.instance !== undefined) for (const other of this.#workers.values()) other.tell({ kind: 'gone', instance: worker.instance });
    this.#tellOthers();
    if (this.#haveListened.size === 0) this.#dependencies.onRefused(exit);
    else this.#startAgain(worker, exit);
  }

  /** Logs an end that was not graceful. A worker that was killed before it got the order had nothing to finish, so its end counts as graceful. */
  #endedWhileEnding({ number, pid, isFrozen, hasBegunToEnd }: WorkerProcess, { code, signal }: Exit): void {
    const endedWell = code === 0 || (signal !== null && !isFrozen && !hasBegunToEnd);
    if (code !== 0) this.#dependencies.logger.warn({ number, process: pid, code, signal }, endedWell ? 'a worker was killed before it could begin to end' : 'a worker did not end in order');
    this.#endedWell &&= endedWell;
  }

  #startAgain({ number, pid, startedAt, isFrozen }: WorkerProcess, { code, signal }: Exit): void {
    const { clock, logger } = this.#dependencies;
    const reason = isFrozen ? 'frozen' : signal !== null ? 'killed' : code === 0 ? 'drained' : 'failed';
    this.restarts.set(reason, this.restarts.get(reason)! + 1);
    const pause = this.#pauses.get(number) ?? new RestartPause();
    this.#pauses.set(number, pause);
    const pauseMs = pause.after(clock.monotonic() - startedAt);
    logger.warn({ number, process: pid, code, signal, reason, pauseMs }, 'a worker ended, and is started again');
    this.#timers.set(number, clock.after(pauseMs, () => {
      this.#timers.delete(number);
      this.#start(number);
    }));
  }

  /** Sends the supervisor's warnings to workers, because operators can read only the workers' lists. */
  #tellWarnings(workers: Iterable<WorkerProcess>): void {
    const warnings = this.#dependencies.warnings.newest.map((warning) => ({ ...warning, worker: 'supervisor' as const }));
    for (const worker of workers) worker.tell({ kind: 'warned', warnings });
  }

  #tick(): void {
    for (const worker of this.#workers.values()) {
      if (!worker.look()) continue;
      this.#dependencies.logger.error({ number: worker.number, process: worker.pid }, 'a worker no longer answers: its event loop hangs, or it was stopped, so it is killed');
      worker.killFrozen();
    }
    const { warn, error, fatal } = this.#dependencies.warnings.counts;
    const warned = warn + error + fatal;
    if (warned !== this.#toldWarnings) {
      this.#toldWarnings = warned;
      this.#tellWarnings(this.#workers.values());
    }
    this.#ticks = this.#dependencies.clock.after(LOOK_EVERY_MS, () => this.#tick());
  }
}
