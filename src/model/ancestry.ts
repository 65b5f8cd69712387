import { namedOrigin, type Lineage } from './epochs.ts';
import type { Position } from './position.ts';

/** The most epochs whose origins are kept. Stops a log that is restored again and again from filling the memory and the database. */
export const REMEMBERED_EPOCHS = 1_000;

/** An epoch that the log has lost, and the position before its first number, in the log that had it. */
export interface LostEpoch {
  readonly epoch: string;
  readonly before: Position;
}

/**
 * The origins of epochs: for each epoch, the position right before its first number. A failover or a restore can lose the newest epochs, but clients still have their ids.
 * A client with such an id shares with the log everything before the lost epoch.
 *
 * An instance remembers the origin of every epoch that it saw, and reads the origins that other instances stored (log/tail/lost-epochs.ts). If nobody stored an origin, the epoch's name tells it
 * (`epochName`).
 *
 * Example: the log had the epochs a (from 1), b (from 5) and c (from 9), and a restored copy has only a. The origin of c is b-8, and that of b is a-4. So a client at c-12 shares the log up to a-4.
 */
export class Ancestry {
  /** For each epoch, the position before its first number, in the log that had it. */
  readonly #origins = new Map<string, Position>();
  /** The newest epoch of the last log that `learn` saw. */
  #newest: string | undefined;

  /** Remembers the origins of a log's epochs. */
  learn(lineage: Lineage): void {
    const { epochs } = lineage;
    // Names of epochs are unique: two logs that end with the same epoch have the same epochs before it.
    const newest = epochs.at(-1)!.epoch;
    if (newest === this.#newest) return;
    this.#newest = newest;
    for (const { epoch, first } of epochs.slice(1)) this.#origins.set(epoch, lineage.at(first - 1));
    this.#forget();
  }

  /** Takes over origins that other instances stored. */
  recall(lost: readonly LostEpoch[]): void {
    for (const { epoch, before } of lost) if (!this.#origins.has(epoch)) this.#origins.set(epoch, before);
    this.#forget();
  }

  /** The known epochs that a log lacks, except epochs before its beginning: retention may have deleted those. */
  lostBy(lineage: Lineage): LostEpoch[] {
    const { first } = lineage.epochs[0]!;
    return [...this.#origins].filter(([epoch, { seq }]) => seq >= first - 1 && !lineage.knows(epoch)).map(([epoch, before]) => ({ epoch, before }));
  }

  #forget(): void {
    for (const epoch of this.#origins.keys()) {
      if (this.#origins.size <= REMEMBERED_EPOCHS) break;
      this.#origins.delete(epoch);
    }
  }

  /**
   * The last number that a log shares with the log of a position (invariant 8). If the log has the position's epoch, it is `Lineage.shared`. Otherwise it is the
   * result for the origin of that epoch, which has a smaller number. So a position in a lost epoch always leads to a gap.
   */
  shared(position: Position, lineage: Lineage): number | undefined {
    let at: Position | undefined = position;
    // The loop ends, because each origin has a smaller number.
    while (at !== undefined && !lineage.knows(at.epoch)) at = this.#before(at, lineage);
    return at === undefined ? undefined : lineage.shared(at);
  }

  /** The origin of a position's epoch; undefined if it is unknown, or if the epoch began after the position's number. */
  #before({ epoch, seq }: Position, lineage: Lineage): Position | undefined {
    const origin = this.#origins.get(epoch) ?? this.#named(epoch, lineage);
    return origin !== undefined && origin.seq < seq ? origin : undefined;
  }

  /** The origin by the epoch's name. A client may invent a name, but learns no more than with an id of the epoch before it. */
  #named(name: string, lineage: Lineage): Position | undefined {
    const origin = namedOrigin(name);
    if (origin === undefined) return undefined;
    const { parent, seq } = origin;
    // If two epochs share a prefix, the earlier one is the safe choice: both logs share everything before it.
    const held = lineage.epochs.find(({ epoch, first }) => epoch.startsWith(parent) && first <= seq);
    if (held !== undefined) return { epoch: held.epoch, seq };
    for (const [epoch, before] of this.#origins) if (epoch.startsWith(parent) && before.seq < seq) return { epoch, seq };
    return undefined;
  }
}
