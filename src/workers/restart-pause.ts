/** The pause before a worker is started again: it doubles each time, up to the second. Stops one that cannot live from taking the machine. Milliseconds. */
const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 30_000;
/** The part of a pause that is left to chance, so that workers that ended together do not all load at once. */
const JITTER_SHARE = 0.5;
/** After a life of this length the next pause is the shortest again. Milliseconds. */
const LIVED_MS = 60_000;

/** How long to wait before the worker of one place is started again. */
export class RestartPause {
  readonly #random: () => number;
  #nextMs = PAUSE_MIN_MS;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** @param livedMs How long the worker that ended had lived. */
  after(livedMs: number): number {
    if (livedMs >= LIVED_MS) this.#nextMs = PAUSE_MIN_MS;
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    return Math.round(pauseMs * (1 - JITTER_SHARE * this.#random()));
  }
}
