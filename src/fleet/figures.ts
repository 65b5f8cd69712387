import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';

/** How often figures are taken. Milliseconds. */
export const FIGURES_EVERY_MS = 10_000;
/** The figures of an hour take some 30 KB. Stops them from outgrowing a note between instances. */
export const FIGURES_MAX_ENTRIES = 360;
/** How often the event loop is measured. Milliseconds. */
const LOOP_RESOLUTION_MS = 20;

/** The figures of each moment, in this order. Rates and counts cover the time since the moment before. */
export const FIGURES = ['time', 'streams', 'publishesPerSecond', 'deliveriesPerSecond', 'bytesPerSecond', 'lag', 'readersBehind', 'loopDelayMs', 'residentBytes', 'errors'] as const;
export type Figure = (typeof FIGURES)[number];

/** The values of each figure, the oldest first, as a chart needs them. */
export type FigureColumns = Readonly<Record<Figure, readonly number[]>>;

export interface FiguresDependencies {
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'published' | 'delivered' | 'deliveredBytes' | 'answers'>;
  readonly streams: Pick<StreamRegistry, 'size' | 'behind'>;
  readonly tail: { readonly last: number; readonly log: { readonly head: number } | undefined };
}

/** Counters at a moment. */
interface Totals {
  readonly at: number;
  readonly published: number;
  readonly delivered: number;
  readonly bytes: number;
  readonly errors: number;
}

/** The figures of this instance in the last hour. */
export class Figures {
  readonly #clock: Clock;
  readonly #counters: FiguresDependencies['counters'];
  readonly #streams: FiguresDependencies['streams'];
  readonly #tail: FiguresDependencies['tail'];
  readonly #loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  readonly #kept: Readonly<Record<Figure, number>>[] = [];
  #before: Totals | undefined;

  constructor({ clock, counters, streams, tail }: FiguresDependencies) {
    this.#clock = clock;
    this.#counters = counters;
    this.#streams = streams;
    this.#tail = tail;
  }

  /** Begins to measure. The timer keeps no process alive. */
  open(): void {
    this.#loop.enable();
    this.#before = this.#totals();
    this.#clock.after(FIGURES_EVERY_MS, () => this.#take());
  }

  /** Figures of later moments. @param after A time of an earlier answer, in seconds since 1970. */
  since(after: number): FigureColumns {
    const kept = this.#kept.filter(({ time }) => time > after);
    return Object.fromEntries(FIGURES.map((figure) => [figure, kept.map((one) => one[figure])])) as Record<Figure, number[]>;
  }

  #totals(): Totals {
    const { published, delivered, deliveredBytes, answers } = this.#counters;
    let errors = 0;
    for (const [status, count] of answers) if (status >= 500) errors += count;
    return { at: this.#clock.monotonic(), published, delivered, bytes: deliveredBytes, errors };
  }

  #take(): void {
    const now = this.#totals();
    const before = this.#before ?? now;
    this.#before = now;
    const seconds = Math.max(1, now.at - before.at) / 1000;
    const rate = (name: 'published' | 'delivered' | 'bytes'): number => Math.round((now[name] - before[name]) / seconds * 10) / 10;
    const { last, log } = this.#tail;
    this.#kept.push({
      // Not the wall clock: it may be set back, and then two figures would have the same time.
      time: Math.round((performance.timeOrigin + now.at) / 1000),
      streams: this.#streams.size,
      publishesPerSecond: rate('published'), deliveriesPerSecond: rate('delivered'), bytesPerSecond: Math.round(rate('bytes')),
      lag: Math.max(0, (log?.head ?? 0) - last),
      readersBehind: this.#streams.behind.readers,
      // The histogram has the times between two calls of its timer, so subtract the timer's interval.
      loopDelayMs: this.#loop.count === 0 ? 0 : Math.max(0, Math.round(this.#loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS)),
      residentBytes: process.memoryUsage.rss(),
      errors: now.errors - before.errors,
    });
    if (this.#kept.length > FIGURES_MAX_ENTRIES) this.#kept.shift();
    this.#loop.reset();
    this.#clock.after(FIGURES_EVERY_MS, () => this.#take());
  }
}
