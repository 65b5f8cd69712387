import type { Clock } from '../runtime/clock.ts';

/** The part of the drain window in which streams are closed; the rest is for the last of them to leave. */
const DRAIN_SHARE = 0.9;

export interface StreamDrainOptions {
  readonly clock: Clock;
  /** The time in which all streams have to be gone. */
  readonly windowMs: number;
  /** The pause between two calls of `due`. */
  readonly tickMs: number;
}

/** The pace of a drain: streams are sent away evenly over the window, so that their clients do not all come back in the same second. */
export class StreamDrain {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #until: number;
  readonly #done = Promise.withResolvers<void>();

  constructor({ clock, windowMs, tickMs }: StreamDrainOptions) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#until = clock.monotonic() + windowMs * DRAIN_SHARE;
  }

  /** Resolves when `finish` was called. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** How many of the open streams are to be sent away now. */
  due(open: number): number {
    const ticks = Math.max(1, Math.ceil((this.#until - this.#clock.monotonic()) / this.#tickMs));
    return Math.ceil(open / ticks);
  }

  /** The last stream is gone. */
  finish(): void {
    this.#done.resolve();
  }
}
