import type { LogState } from '../../model/epochs.ts';
import type { Position } from '../../model/position.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError, type Page, type Store } from '../../store/store.ts';
import type { Knowledge } from './known-log.ts';
import { StoreWatchdog, SILENT } from './store-watchdog.ts';

/** The most that one read brings. Stops a long fill from blocking the event loop. Messages, and bytes of data. */
const REFILL_MESSAGES = 1_000;
const REFILL_BYTES = 1024 * 1024;

/** How many messages a new instance reads into its tail. So clients that reconnect after a restart need no read of their own. */
const WARM_MESSAGES = 10_000;
/** The same bound in bytes of data, which takes about a second to read. Stops large messages from delaying the start of an instance. */
const WARM_BYTES = 64 * 1024 * 1024;

/** The parts of the tail that `Refill` needs. */
export interface RefilledTail {
  /** Whether the log was opened. */
  readonly isOpen: () => boolean;
  readonly knowledge: () => Knowledge;
  /** The newest known number of the log. */
  readonly target: () => number;
  /** The highest number among messages that wait for an earlier one; 0 if no message waits. */
  readonly highestEarly: () => number;
  /**
   * Takes over the state of the log from a snapshot. Returns false if the snapshot is outdated or moved the end of the tail: do not use its messages.
   *
   * @param before `knowledge()` before the query.
   */
  readonly verify: (before: Knowledge, log: LogState) => boolean;
  /** Reads the erasures if the log has another version of them. Rejects with a `StoreError`. */
  readonly lookAtErasures: (log: LogState) => Promise<void>;
  /** Makes tombstones of messages that were erased after the page was read. Returns false if the page must be read again. */
  readonly clean: (page: Page) => boolean;
  /** Adds the messages of a page. @param expected `highestEarly()` before the query. */
  readonly takePage: (page: Page, expected: number) => void;
  /** The tail has reached the head. */
  readonly filled: () => void;
}

export interface RefillDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The most memory of the tail. Bytes. */
  readonly maxBytes: number;
  /** How often to poll the head of the log. */
  readonly pollMs: number;
  readonly tail: RefilledTail;
}

/**
 * Reads the log for the tail. A look reads the log's head, every `pollMs` and on demand. If the head lies after the end of the tail, a fill reads the messages
 * between them. So a message that the bus lost is late, never missing (invariant 6).
 */
export class Refill {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxBytes: number;
  readonly #pollMs: number;
  readonly #tail: RefilledTail;
  readonly #watchdog: StoreWatchdog;
  #poll: Timer | undefined;
  #isFilling = false;
  /** Whether `fill` was called during the fill under way. */
  #fillAgain = false;
  /** The looks under way: they go on while `#lookAgain` is set. */
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #failure: string | undefined;
  #isStopped = false;

  constructor({ store, clock, logger, maxBytes, pollMs, tail }: RefillDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
    this.#maxBytes = maxBytes;
    this.#pollMs = pollMs;
    this.#tail = tail;
    this.#watchdog = new StoreWatchdog(clock);
  }

  /** Why the last read of the log failed, or that it has no answer for long; undefined if the log can be read. */
  get failure(): string | undefined {
    return this.#failure ?? (this.#watchdog.isOverdue ? SILENT : undefined);
  }

  get isFilling(): boolean {
    return this.#isFilling;
  }

  /** The position before the first message that a new instance reads into its tail; the head if the store cannot be read. */
  async warmStart({ lineage, oldest, head }: LogState): Promise<Position> {
    try {
      const { seq } = await this.#store.newestWithin({ messages: WARM_MESSAGES, bytes: Math.min(WARM_BYTES, this.#maxBytes) });
      return lineage.at(Math.min(head, Math.max(oldest - 1, seq)));
    } catch (error) {
      this.#failed(error);
      return lineage.at(head);
    }
  }

  /** Looks at the head of the log every `pollMs` from now on. */
  poll(): void {
    if (this.#isStopped) return;
    this.#poll = this.#clock.after(this.#pollMs, () => {
      void this.look().finally(() => this.poll());
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#poll?.cancel();
  }

  /** Looks at the log now. All calls during a look share the next look. */
  look(): Promise<void> {
    this.#lookAgain = true;
    return (this.#looking ??= this.#lookWhileAsked());
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#isStopped) {
      this.#lookAgain = false;
      await this.#lookOnce();
    }
    this.#looking = undefined;
  }

  async #lookOnce(): Promise<void> {
    if (!this.#tail.isOpen()) return;
    const before = this.#tail.knowledge();
    try {
      const log = await this.#watchdog.watch(() => this.#store.state());
      this.#worked();
      this.#tail.verify(before, log);
      await this.#tail.lookAtErasures(log);
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (this.#tail.target() > this.#tail.knowledge().position.seq) await this.fill();
  }

  /** Reads the log from the end of the tail to the head. One fill runs at a time; a call during a fill makes it read once more. */
  async fill(): Promise<void> {
    if (this.#isFilling) {
      this.#fillAgain = true;
      return;
    }
    this.#isFilling = true;
    try {
      do {
        this.#fillAgain = false;
        for (let goOn = true; goOn && !this.#isStopped; ) goOn = await this.#fillOnce();
      } while (this.#fillAgain && !this.#isStopped);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isFilling = false;
    }
    if (this.#failure === undefined) this.#tail.filled();
  }

  /** Reads one page. Returns whether there is more to read. */
  async #fillOnce(): Promise<boolean> {
    const before = this.#tail.knowledge();
    const expected = this.#tail.highestEarly();
    const page = await this.#store.read({ after: before.position.seq, filter: undefined, limit: REFILL_MESSAGES, maxBytes: REFILL_BYTES });
    this.#worked();
    if (!this.#tail.verify(before, page.log) || !this.#tail.clean(page)) return true;
    this.#tail.takePage(page, expected);
    return this.#tail.knowledge().position.seq < page.log.head;
  }

  #worked(): void {
    if (this.#failure !== undefined) this.#logger.info('the log can be read again');
    this.#failure = undefined;
  }

  #failed(error: unknown): void {
    if (!(error instanceof StoreError)) throw error;
    if (this.#failure === undefined) this.#logger.error({ err: error }, 'the log cannot be read; streams stay open and wait');
    this.#failure = error.message;
  }
}
