import type { Clock } from '../runtime/clock.ts';

/** The first and the longest pause after failures. Each pause is twice the one before, less a random part of up to half, so that instances do not all connect at once. */
const CONNECTOR_RETRY_MIN_MS = 250;
const CONNECTOR_RETRY_MAX_MS = 15_000;

/** After a connection that lasted this long, the pauses begin anew. Stops connecting in a loop to a system that drops each connection at once. */
const STEADY_MS = 5_000;

/** The pauses between attempts. They grow until an attempt succeeds. */
export class RetryPause {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;
  #openedAt = Infinity;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: () => number }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Call it when a connection opens. The connection may still fail, so the pauses stay long at first. */
  opened(): void {
    this.#openedAt = this.#clock.monotonic();
  }

  /** Call it when a message was transferred: the next pause is short. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Resolves after the pause. @throws the signal's reason, as soon as it aborts */
  async wait(signal: AbortSignal): Promise<void> {
    await this.passes(signal);
    signal.throwIfAborted();
  }

  /** Waits as `wait` does, for the condition of a loop. @returns Whether the pause is over; false as soon as the signal aborts. */
  async passes(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
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
    return !signal.aborted;
  }
}
