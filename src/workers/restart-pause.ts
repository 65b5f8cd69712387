/** The first and the longest pause before a worker is started again. It doubles each time. Stops a worker that fails at once from using all CPU time. */
const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 30_000;
/** The random part of a pause. Stops workers that ended together from all starting at once. */
const JITTER_SHARE = 0.5;
/** After a worker that ran for this long, the pauses begin anew. */
const LIVED_MS = 60_000;

/** The pauses between the processes of one worker number. */
export class RestartPause {
  readonly #random: () => number;
  #nextMs = PAUSE_MIN_MS;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** @param livedMs How long the process that ended had run. */
  after(livedMs: number): number {
    if (livedMs >= LIVED_MS) this.#nextMs = PAUSE_MIN_MS;
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    return Math.round(pauseMs * (1 - JITTER_SHARE * this.#random()));
  }
}
