import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';

/** How often counters are read for rates. Milliseconds. */
const SAMPLE_EVERY_MS = 1_000;
/** How many samples are kept: rates are of the last ten seconds. */
const SAMPLES_MAX_ENTRIES = 11;
/** How often the event loop is measured. Milliseconds. */
const LOOP_RESOLUTION_MS = 20;

interface Sample {
  readonly at: number;
  readonly published: number;
  readonly delivered: number;
  /** The longest delay of the event loop since the sample before. */
  readonly loopDelayMs: number;
}

export interface Vitals {
  readonly publishesPerSecond: number;
  readonly deliveriesPerSecond: number;
  readonly loopDelayMs: number;
}

export interface VitalSignsDependencies {
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'published' | 'delivered'>;
}

/** The load of this instance in the last ten seconds. */
export class VitalSigns {
  readonly #clock: Clock;
  readonly #counters: VitalSignsDependencies['counters'];
  readonly #loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  readonly #samples: Sample[] = [];

  constructor({ clock, counters }: VitalSignsDependencies) {
    this.#clock = clock;
    this.#counters = counters;
  }

  /** Begins to measure. The timer keeps no process alive. */
  open(): void {
    this.#loop.enable();
    this.#sample();
  }

  get now(): Vitals {
    const first = this.#samples[0];
    const last = this.#read();
    const seconds = first === undefined ? 0 : (last.at - first.at) / 1000;
    const rate = (name: 'published' | 'delivered'): number => seconds === 0 ? 0 : Math.round((last[name] - first![name]) / seconds * 10) / 10;
    return { publishesPerSecond: rate('published'), deliveriesPerSecond: rate('delivered'), loopDelayMs: Math.max(last.loopDelayMs, ...this.#samples.map(({ loopDelayMs }) => loopDelayMs)) };
  }

  #read(): Sample {
    const { published, delivered } = this.#counters;
    // The histogram has the times between two calls of its timer, so subtract the timer's interval.
    const loopDelayMs = Math.max(0, Math.round(this.#loop.max / 1e6 - LOOP_RESOLUTION_MS));
    return { at: this.#clock.monotonic(), published, delivered, loopDelayMs: this.#loop.count === 0 ? 0 : loopDelayMs };
  }

  #sample(): void {
    this.#samples.push(this.#read());
    if (this.#samples.length > SAMPLES_MAX_ENTRIES) this.#samples.shift();
    this.#loop.reset();
    this.#clock.after(SAMPLE_EVERY_MS, () => this.#sample());
  }
}
