import type { WebhookRecord } from '../store/contracts/webhook-store.ts';
import { CIRCUIT_OPEN_FAILURES, longestPauseMs, pauseMs, retryAfterMs } from './backoff.ts';

export interface FailureStreakOptions {
  /** The store's clock: milliseconds since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  readonly firstPauseMs: number;
  /** A message that failed for this long is given up. */
  readonly retryMs: number;
}

/** Counts the failures of one receiver in a row, and says when to attempt it again (backoff.ts). Also keeps since when the current message is being attempted. */
export class FailureStreak {
  readonly #options: FailureStreakOptions;
  #count: number;
  /** The first attempt of the current message; undefined before it. */
  #since: number | undefined;
  #nextAt: number;
  /** The longest pause from now. Limits `#nextAt` of another instance, whose clock may have been ahead. */
  #pauseMaxMs: number;

  constructor({ failures, failingSince, nextAt }: Pick<WebhookRecord, 'failures' | 'failingSince' | 'nextAt'>, options: FailureStreakOptions) {
    this.#options = options;
    this.#count = failures;
    this.#since = failingSince;
    this.#nextAt = nextAt;
    this.#pauseMaxMs = longestPauseMs(failures, options.firstPauseMs);
  }

  /** The columns of the database. */
  get row(): Pick<WebhookRecord, 'failures' | 'failingSince' | 'nextAt'> {
    return { failures: this.#count, failingSince: this.#since, nextAt: this.#nextAt };
  }

  get count(): number {
    return this.#count;
  }

  get isFailing(): boolean {
    return this.#count > 0;
  }

  get isCircuitOpen(): boolean {
    return this.#count >= CIRCUIT_OPEN_FAILURES;
  }

  /** The rest of the pause, in milliseconds. */
  get pauseLeft(): number {
    return Math.max(0, Math.min(this.#nextAt - this.#options.now(), this.#pauseMaxMs));
  }

  /** Call it before each attempt. @returns The time of the first attempt of this message. */
  attempt(): number {
    const now = this.#options.now();
    // If the clock was ahead at the first attempt, use the present time.
    this.#since = Math.min(this.#since ?? now, now);
    return this.#since;
  }

  /** The receiver took the delivery. */
  taken(): void {
    this.#count = 0;
    this.#nextAt = 0;
  }

  /** The attempt failed: begins a pause. @param retryAfter The header `Retry-After`. */
  failed(retryAfter: string | undefined): void {
    const { firstPauseMs, now, random } = this.#options;
    this.refused();
    this.#pauseMaxMs = pauseMs(this.#count, firstPauseMs, retryAfterMs(retryAfter, now()), random);
    this.#nextAt = now() + this.#pauseMaxMs;
  }

  /** Counts a failure without a pause. */
  refused(): void {
    this.#count += 1;
  }

  /** Whether the message has failed for `retryMs`, so that it is given up. */
  get isTooLong(): boolean {
    return this.#since !== undefined && this.#options.now() - this.#since >= this.#options.retryMs;
  }

  /** The cursor moved to the next message. */
  moved(): void {
    this.#since = undefined;
  }
}
