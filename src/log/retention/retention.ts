import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError, type Store, type Trimmed } from '../../store/store.ts';
import { ClockJump } from './clock-jump.ts';
import { DiskBudget } from './disk-budget.ts';

/**
 * This room decides which messages the log keeps. Retention deletes the oldest messages and keys, by age and by size (`retention.ts`, `disk-budget.ts`, `clock-jump.ts`). Quotas
 * bound the share of each topic and sender (`quota.ts`, `holders.ts`, `usage-record.ts`). Sizes of commits come in; deletions, delays of commits and refusals go out.
 */

/** How often retention looks for messages to delete. */
const RETENTION_INTERVAL_MS = 5_000;
/** The most rows of one step. A publish that waits for the step's transaction waits a few milliseconds at most. */
const RETENTION_STEP_ROWS = 500;
/** The most rows of a step while the log exceeds its bounds: twice the messages of a commit, so that steps overtake publishers. */
const RETENTION_LARGE_STEP_ROWS = 4_000;
/** How far a bound may be exceeded before retention takes its next step at once. Stops a deleting transaction after every commit. */
const RETENTION_WAKE_BYTES = 1024 * 1024;
const RETENTION_WAKE_KEYS = 4_000;
/** How far a bound may be exceeded before commits wait: enough for one or two commits. Bounds the log when publishers are faster than retention. */
const RETENTION_DEBT_BYTES = 8 * 1024 * 1024;
const RETENTION_DEBT_KEYS = 20_000;
/** How long steps may delete nothing while commits wait. Stops commits from waiting for a database session that keeps rows locked. */
const RETENTION_LOCKED_MS = 1_000;
/** The pause between small steps, so that publishers can use the database. */
const RETENTION_PAUSE_MS = 20;

export interface RetentionDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Messages older than this are deleted; 0 disables the limit. Milliseconds. */
  readonly maxAge: number;
  /** The most bytes of messages: beyond it the oldest messages are deleted. 0 disables the limit. */
  readonly maxBytes: number;
  /** The most idempotency keys: beyond it the oldest keys are deleted. 0 disables the limit. */
  readonly maxKeys: number;
}

/**
 * Backpressure from retention: the publisher asks it before each commit, and reports to it afterwards. So the log stays within its bounds at any rate of writing.
 */
export interface Pace {
  /** Whether the next commit must wait for retention. */
  readonly isBehind: boolean;
  /** Reports a commit: about how many bytes of messages it stored, and how many idempotency keys. */
  stored(bytes: number, keys: number): void;
  /** Sets the listener that is called when commits no longer have to wait. */
  whenCaughtUp(listener: () => void): void;
}

/** The null object: nobody waits. */
export const UNPACED: Pace = { isBehind: false, stored: () => undefined, whenCaughtUp: () => undefined };

/**
 * Deletes messages that are too old or too many, the oldest first, in steps. A step is one transaction. Its answer has the sizes of the log, so each step is also a look. Their rates:
 *
 *     state of the log                                rows of a step   next step
 *     within its bounds, nothing to delete                       500   after 5 s
 *     within its bounds, more to delete                          500   after 20 ms
 *     beyond its bounds by 1 MiB or 4,000 keys                 4,000   at once, or after 20 ms if nothing is left to delete
 *     beyond its bounds by 8 MiB or 20,000 keys                4,000   the same, and commits wait (`isBehind`)
 *
 * A large step deletes more than a commit stores, so the log shrinks although appends and steps alternate.
 *
 * The believed clock (clock-jump.ts) decides a message's age. The store checks the clock again during the deletion, because somebody may have changed it since the call.
 */
export class Retention implements Pace {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #maxAge: number;
  readonly #maxBytes: number;
  readonly #maxKeys: number;
  readonly #messages: DiskBudget;
  readonly #keys: DiskBudget;
  #timer: Timer | undefined;
  #isRunning = false;
  #isStepping = false;
  /** Whether commits waited. Then retention must call the listener as soon as they need not wait any more. */
  #owesCaughtUp = false;
  readonly #clockJump: ClockJump;
  #failed = false;
  /** Whether a warning about the lock was logged since the last deletion. */
  #hasWarnedOfLock = false;
  /** Whether a warning was logged that keys are forgotten before their time. */
  #hasWarnedOfYoungKeys = false;
  #caughtUp: () => void = () => undefined;

  constructor({ store, clock, counters, logger, maxAge, maxBytes, maxKeys }: RetentionDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#maxAge = maxAge;
    this.#maxBytes = maxBytes;
    this.#maxKeys = maxKeys;
    this.#messages = new DiskBudget({ most: maxBytes, wake: RETENTION_WAKE_BYTES, debt: RETENTION_DEBT_BYTES, lockedMs: RETENTION_LOCKED_MS });
    this.#keys = new DiskBudget({ most: maxKeys, wake: RETENTION_WAKE_KEYS, debt: RETENTION_DEBT_KEYS, lockedMs: RETENTION_LOCKED_MS });
    this.#clockJump = new ClockJump({ clock, logger });
  }

  /** Bytes of messages held, at the last look. */
  get bytes(): number {
    return this.#messages.held;
  }

  /** Idempotency keys held, at the last look. */
  get keys(): number {
    return this.#keys.held;
  }

  /** How far the store's clock was ahead of the believed clock at the last look. Milliseconds. */
  get clockAhead(): number {
    return this.#clockJump.ahead;
  }

  /** How far the newest message was ahead of the machine's clock at the last look. Milliseconds. */
  get messageAhead(): number {
    return this.#clockJump.messageAhead;
  }

  /** False while retention fails: a log that grows beyond its bounds is better than a log that accepts no messages. */
  get isBehind(): boolean {
    return this.#isRunning && !this.#failed && (this.#messages.isOverdrawn || this.#keys.isOverdrawn);
  }

  stored(bytes: number, keys: number): void {
    this.#messages.add(bytes);
    this.#keys.add(keys);
    // Note it also during a step. The step may bring the log within its bounds, and must then call the listener for the commits that waited.
    this.#owesCaughtUp ||= this.isBehind;
    if (!this.#isRunning || this.#isStepping || this.#failed || !this.#isGrowing) return;
    this.#timer?.cancel();
    this.#schedule(0);
  }

  whenCaughtUp(listener: () => void): void {
    this.#caughtUp = listener;
  }

  /** Starts the steps in the background. */
  run(): void {
    this.#isRunning = true;
    this.#schedule(0);
  }

  stop(): void {
    this.#isRunning = false;
    this.#timer?.cancel();
  }

  get #isGrowing(): boolean {
    return this.#messages.isGrowing || this.#keys.isGrowing;
  }

  #schedule(milliseconds: number): void {
    if (!this.#isRunning) return;
    this.#timer = this.#clock.after(milliseconds, () => {
      this.#isStepping = true;
      this.#owesCaughtUp ||= this.isBehind;
      void this.#step().then((more) => {
        this.#isStepping = false;
        this.#schedule(this.#pause(more));
        if (this.isBehind) this.#owesCaughtUp = true;
        else if (this.#owesCaughtUp) {
          this.#owesCaughtUp = false;
          this.#caughtUp();
        }
      });
    });
  }

  /** The pause before the next step. A step that deleted nothing is not repeated at once, because another instance may be deleting. */
  #pause(more: boolean): number {
    if (this.#failed) return RETENTION_INTERVAL_MS;
    if (this.#isGrowing) return more ? 0 : RETENTION_PAUSE_MS;
    return more ? RETENTION_PAUSE_MS : RETENTION_INTERVAL_MS;
  }

  /** Takes over the sizes after a step. If a database session locks the rows, or the step before failed, the present size becomes the bound: commits do not wait for it. */
  #learn({ bytes, heldKeys, messages, keys }: Trimmed): void {
    const now = this.#clock.monotonic();
    const areLocked = [this.#messages.look(bytes, messages, now), this.#keys.look(heldKeys, keys, now)];
    if (messages + keys > 0) this.#hasWarnedOfLock = false;
    if (areLocked.includes(true)) this.#warnOfLock();
    if (!this.#failed) return;
    this.#messages.acceptHeld();
    this.#keys.acceptHeld();
  }

  #warnOfLock(): void {
    if (!this.#hasWarnedOfLock) this.#logger.warn({ bytes: this.bytes, keys: this.keys }, 'retention finds the database locked, and publishers wait no longer: the log grows until the lock is released');
    this.#hasWarnedOfLock = true;
  }

  /** Returns whether there is more to delete. */
  async #step(): Promise<boolean> {
    try {
      const { counted } = this.#clockJump;
      const rows = this.#isGrowing ? RETENTION_LARGE_STEP_ROWS : RETENTION_STEP_ROWS;
      this.#messages.beginLook();
      this.#keys.beginLook();
      const trimmed = await this.#store.trim({ maxAge: this.#maxAge, maxBytes: this.#maxBytes, maxKeys: this.#maxKeys, rows, ...(counted === undefined ? {} : { counted }) });
      this.#clockJump.observe(trimmed);
      this.#counters.trimmed += trimmed.messages;
      this.#counters.trimmedKeys += trimmed.keys;
      this.#counters.forgottenKeys += trimmed.youngKeys;
      this.#learn(trimmed);
      this.#failed = false;
      if (trimmed.youngKeys > 0 && !this.#hasWarnedOfYoungKeys) {
        this.#hasWarnedOfYoungKeys = true;
        this.#logger.warn({ keys: trimmed.heldKeys }, 'there are more idempotency keys than IDEMPOTENCY_MAX_KEYS: they are forgotten before IDEMPOTENCY_SECONDS, the oldest first; a later repetition is stored once more');
      }
      return trimmed.more;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#failed) this.#logger.warn({ err: error }, 'retention cannot delete just now');
      this.#failed = true;
      return false;
    }
  }
}
