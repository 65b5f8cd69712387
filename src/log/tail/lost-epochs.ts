import type { Ancestry } from '../../model/ancestry.ts';
import type { Lineage } from '../../model/epochs.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError, type Store } from '../../store/store.ts';
import { SharedLook } from './shared-look.ts';

/** The pause before another attempt to store lost epochs. Stops an instance from burdening a database that fails. Milliseconds. */
const KEEP_AGAIN_MS = 1_000;

export interface LostEpochsDependencies {
  readonly store: Pick<Store, 'keepLost' | 'lost'>;
  readonly ancestry: Ancestry;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Stores and reads the origins of epochs that the log has lost. A client with an id of a lost epoch may come to an instance that booted after the loss.
 * That instance finds the origin in the log. If a copy without these records replaces the log, the instances that have the origins in memory store them again.
 */
export class LostEpochs {
  readonly #store: Pick<Store, 'keepLost' | 'lost'>;
  readonly #ancestry: Ancestry;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #looks: SharedLook<void>;
  /** The log that lacks epochs, until their origins are stored in it. */
  #pending: Lineage | undefined;
  #isKeeping = false;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor({ store, ancestry, clock, logger }: LostEpochsDependencies) {
    this.#store = store;
    this.#ancestry = ancestry;
    this.#clock = clock;
    this.#logger = logger;
    this.#looks = new SharedLook(async () => this.#ancestry.recall(await this.#store.lost()));
  }

  /** Stores, in the background, the origins of known epochs that a log lacks. */
  keep(lineage: Lineage): void {
    this.#pending = lineage;
    if (!this.#isKeeping && this.#timer === undefined) void this.#keepPending();
  }

  /** Reads the stored origins. Rejects with a `StoreError`. */
  recall(): Promise<void> {
    return this.#looks.fresh();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  async #keepPending(): Promise<void> {
    this.#isKeeping = true;
    try {
      while (this.#pending !== undefined && !this.#isStopped) {
        const lineage = this.#pending;
        await this.#store.keepLost(this.#ancestry.lostBy(lineage));
        if (this.#pending === lineage) this.#pending = undefined;
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#logger.debug({ err: error }, 'the origins of lost epochs could not be stored; this instance tries again');
      this.#keepLater();
    } finally {
      this.#isKeeping = false;
    }
  }

  #keepLater(): void {
    if (this.#isStopped) return;
    this.#timer = this.#clock.after(KEEP_AGAIN_MS, () => {
      this.#timer = undefined;
      void this.#keepPending();
    });
  }
}
