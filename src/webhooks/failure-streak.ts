import type { WebhookRecord } from '../store/contracts/webhook-store.ts';
import { CIRCUIT_OPEN_FAILURES, longestPauseMs, pauseMs, retryAfterMs } from './backoff.ts';

export interface FailureStreakOptions {
  /** The store's clock: milliseconds since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  readonly firstPauseMs: number;
  /** After so long the next message follows. */
  readonly retryMs: number;
}

/** The failures of one receiver in a row: since when it has not taken the present message, and when it is asked again. The pauses are in backoff.ts. */
export class FailureStreak {
  readonly #options: FailureStreakOptions;
  #count: number;
  #since: number | undefined;
  #nextAt: number;
  /** No pause is longer. Of another instance's failures, only their number is believed: its clock may have been ahead. */
  #pauseMaxMs: number;

  constructor({ failures, failingSince, nextAt }: Pick<WebhookRecord, 'failures' | 'failingSince' | 'nextAt'>, options: FailureStreakOptions) {
    this.#options = options;
    this.#count = failures;
    this.#since = failingSince;
    this.#nextAt = nextAt;
    this.#pauseMaxMs = longestPauseMs(failures, options.firstPauseMs);
  }

  /** As the database keeps it. */
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

  /** Milliseconds. */
  get pauseLeft(): number {
    return Math.max(0, Math.min(this.#nextAt - this.#options.now(), this.#pauseMaxMs));
  }

  /** A message is about to be attempted. @returns Since when that is so for this message. */
  attempt(): number {
    const now = this.#options.now();
    // A clock that was ahead must not put the end off.
    this.#since = Math.min(this.#since ?? now, now);
    return this.#since;
  }

  /** The receiver took the message. */
  taken(): void {
    this.#count = 0;
    this.#nextAt = 0;
  }

  /** @param retryAfter The header with which the receiver asked for a pause. */
  failed(retryAfter: string | undefined): void {
    const { firstPauseMs, now, random } = this.#options;
    this.refused();
    this.#pauseMaxMs = pauseMs(this.#count, firstPauseMs, retryAfterMs(retryAfter, now()), random);
    this.#nextAt = now() + this.#pauseMaxMs;
  }

  /** The receiver failed, and is not asked again. */
  refused(): void {
    this.#count += 1;
  }

  /** Whether the message was attempted for so long that it is given up. */
  get isTooLong(): boolean {
    return this.#since !== undefined && this.#options.now() - this.#since >= this.#options.retryMs;
  }

  /** Another message follows. */
  moved(): void {
    this.#since = undefined;
  }
}
