import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { countWarnings } from './metrics.ts';
import type { Warnings } from './logging/warnings.ts';

/** The state of the workers. */
export interface WorkersState {
  readonly running: number;
  readonly ready: number;
  /** How many workers were started again, by the reason. */
  readonly restarts: ReadonlyMap<string, number>;
  /** The numbers of the workers whose metrics came in time. */
  readonly answered: ReadonlySet<number>;
}

/** The metrics that the supervisor adds to those of its workers. */
export class SupervisorMetrics {
  readonly #count: number;
  /** The metrics about the workers. */
  readonly #registry = new Registry();
  /** The metrics of the supervisor's own process. */
  readonly #process = new Registry();
  readonly #running: Gauge;
  readonly #ready: Gauge;
  readonly #up: Gauge;
  readonly #restarts: Counter;

  /** @param warnings Lines of the supervisor's log, by their levels. */
  constructor(count: number, warnings: Warnings['counts']) {
    this.#count = count;
    this.#process.setDefaultLabels({ worker: 'supervisor' });
    collectDefaultMetrics({ register: this.#process });
    countWarnings(this.#process, warnings);
    const registers = [this.#registry];
    new Gauge({ name: 'tidings_workers', help: 'Workers that there should be', registers }).set(count);
    this.#running = new Gauge({ name: 'tidings_workers_running', help: 'Workers that run', registers });
    this.#ready = new Gauge({ name: 'tidings_workers_ready', help: 'Workers that take work', registers });
    this.#up = new Gauge({ name: 'tidings_worker_up', help: 'Whether the metrics of a worker came in time; at 0 its series are missing', labelNames: ['worker'], registers });
    this.#restarts = new Counter({ name: 'tidings_worker_restarts_total', help: 'Workers that were started again, by the reason', labelNames: ['reason'], registers });
  }

  async render({ running, ready, restarts, answered }: WorkersState): Promise<string> {
    this.#running.set(running);
    this.#ready.set(ready);
    this.#restarts.reset();
    for (const [reason, count] of restarts) this.#restarts.inc({ reason }, count);
    for (let worker = 1; worker <= this.#count; worker++) this.#up.set({ worker: String(worker) }, answered.has(worker) ? 1 : 0);
    return [await this.#registry.metrics(), await this.#process.metrics()].join('\n');
  }
}
