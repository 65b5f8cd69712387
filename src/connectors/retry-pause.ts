import type { Clock } from '../runtime/clock.ts';

/** The first and the longest pause after failures. Pauses double, less a random part of up to half. Stop all instances from connecting at once to a system that comes back. */
const CONNECTOR_RETRY_MIN_MS = 250;
const CONNECTOR_RETRY_MAX_MS = 15_000;

/** How long a connection has to last until the pauses are short again. Stops connecting in a loop to a system that drops each connection. */
const STEADY_MS = 5_000;

/** Pauses between attempts, which grow until one succeeds. */
export class RetryPause {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;
  #openedAt = Infinity;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: () => number }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A connection is open. It may still not work. */
  opened(): void {
    this.#openedAt = this.#clock.monotonic();
  }

  /** A message was transferred. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Resolves after the pause, and at once where the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (this.#clock.monotonic() - this.#openedAt >= STEADY_MS) this.#failures = 0;
    this.#openedAt = Infinity;
    const most = Math.min(CONNECTOR_RETRY_MIN_MS * 2 ** Math.min(this.#failures++, 16), CONNECTOR_RETRY_MAX_MS);
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => resolve();
    const timer = this.#clock.after(most * (1 - this.#random() / 2), end);
    signal.addEventListener('abort', end, { once: true });
    await promise;
    timer.cancel();
    signal.removeEventListener('abort', end);
  }
}
