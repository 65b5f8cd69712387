import { Ancestry } from '../../model/ancestry.ts';
import type { LogState } from '../../model/epochs.ts';
import { locate, type Start } from '../../model/gap.ts';
import type { Position } from '../../model/position.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { Store } from '../../store/store.ts';
import { LostEpochs } from './lost-epochs.ts';
import type { Knowledge } from './tail-refill.ts';

export interface KnownLogDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The log and its lost epochs, as snapshots showed them. It judges whether a snapshot is older than what is known, or of a log that took the place of the known one (invariant 8). */
export class KnownLog {
  #log: LogState | undefined;
  /** Of the logs that it has seen. */
  readonly #ancestry = new Ancestry();
  readonly #lostEpochs: LostEpochs;

  constructor({ store, clock, logger }: KnownLogDependencies) {
    this.#lostEpochs = new LostEpochs({ store, ancestry: this.#ancestry, clock, logger });
  }

  /** Its newest state; undefined before it is open. */
  get log(): LogState | undefined {
    return this.#log;
  }

  stop(): void {
    this.#lostEpochs.stop();
  }

  /** Takes over what a snapshot says, unless something newer is known already. Returns whether the log has an epoch that it did not have. */
  adopt(log: LogState): boolean {
    this.#learn(log);
    const before = this.#log;
    if (before === undefined || isNewer(log, before) || (log.head >= before.head && !isNewer(before, log))) this.#log = log;
    return before !== undefined && isNewer(this.#log!, before);
  }

  /** Another log has taken the place of the known one, or its beginning was deleted. */
  replace(log: LogState): void {
    this.#learn(log);
    this.#log = log;
  }

  /**
   * Whether the log may have been exchanged since a snapshot was taken. That is so if the tail heard of an epoch while the answer was on its way, and the
   * snapshot does not have it. The snapshot's messages may be lost then, and their numbers given to others.
   */
  isOutdated(before: Knowledge, log: LogState): boolean {
    const known = this.#log;
    return known !== before.log && known !== undefined && before.log !== undefined && isNewer(known, log) && isNewer(known, before.log);
  }

  /**
   * Whether the log gave the numbers at the end of the tail to other messages. The tail's may be those of a replaced log, which arrived between the question
   * and the answer. That is certain however old the snapshot is; and nothing may be added after such an end.
   */
  isForked(end: Position, log: LogState): boolean {
    const shared = log.lineage.shared(end);
    return shared === undefined ? isNewer(log, this.#log!) : shared < end.seq;
  }

  /** Where a reader that holds `cursor` goes on in a log. It knows the origins of lost epochs. */
  locate(cursor: Position, log: LogState): Start {
    return locate(cursor, log, this.#ancestry);
  }

  /** Learns what other instances knew of epochs that the log has lost. Rejects with a `StoreError`. */
  recallLost(): Promise<void> {
    return this.#lostEpochs.recall();
  }

  #learn({ lineage }: LogState): void {
    this.#ancestry.learn(lineage);
    const before = this.#log?.lineage;
    // An older answer lacks epochs, too, but it has no newer one.
    const newest = lineage.epochs.at(-1)!.epoch;
    if (before !== undefined && !before.knows(newest) && !lineage.knows(before.epochs.at(-1)!.epoch)) this.#lostEpochs.keep(lineage);
  }
}

/** Whether a snapshot has an epoch that another has not heard of. Then it is the newer one, though its head may lie before the other's: the log was exchanged. */
function isNewer(log: LogState, than: LogState): boolean {
  return log.lineage !== than.lineage && !than.lineage.knows(log.lineage.epochs.at(-1)!.epoch);
}
