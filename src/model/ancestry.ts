import { namedOrigin, type Lineage } from './epochs.ts';
import type { Position } from './position.ts';

/** How many epochs are remembered after the log has lost them: bounds their memory, and their rows. */
export const REMEMBERED_EPOCHS = 1_000;

/** An epoch that the log has lost, and the position before its first number, in the log that had it. */
export interface LostEpoch {
  readonly epoch: string;
  readonly before: Position;
}

/**
 * Where epochs came from that the log does not have. A failover or a restore can lose the newest epochs, whose ids clients still have. They share with the log
 * everything before these epochs. One instance remembers it of all epochs that it ever heard of, and is told what others have kept in the log
 * (log/tail/lost-epochs.ts). Of what nobody kept, their names tell.
 */
export class Ancestry {
  /** For each epoch, the position before its first number, in the log that had it. */
  readonly #origins = new Map<string, Position>();
  /** The newest epoch of the log that was learnt last. */
  #newest: string | undefined;

  /** Remembers where the epochs of a log came from. */
  learn(lineage: Lineage): void {
    const { epochs } = lineage;
    // Nobody else has the name of the newest: a log that ends with it has the same epochs before it.
    const newest = epochs.at(-1)!.epoch;
    if (newest === this.#newest) return;
    this.#newest = newest;
    for (const { epoch, first } of epochs.slice(1)) this.#origins.set(epoch, lineage.at(first - 1));
    this.#forget();
  }

  /** Takes over what another instance has kept. */
  recall(lost: readonly LostEpoch[]): void {
    for (const { epoch, before } of lost) if (!this.#origins.has(epoch)) this.#origins.set(epoch, before);
    this.#forget();
  }

  /** The known epochs that a log has lost. Those at its beginning are not among them: retention may have deleted them. */
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
   * The last number that a log shares with the log of a position (invariant 8). It is `Lineage.shared` for an epoch that the log has. For an epoch that the log
   * has lost, it is the answer for the position before that epoch. So a position in a lost epoch always leads to a gap.
   */
  shared(position: Position, lineage: Lineage): number | undefined {
    let at: Position | undefined = position;
    // Each turn leads to a smaller number, so it ends.
    while (at !== undefined && !lineage.knows(at.epoch)) at = this.#before(at, lineage);
    return at === undefined ? undefined : lineage.shared(at);
  }

  /** The position before the epoch of a position; undefined when that is not known, or the epoch cannot have given such a number. */
  #before({ epoch, seq }: Position, lineage: Lineage): Position | undefined {
    const origin = this.#origins.get(epoch) ?? this.#named(epoch, lineage);
    return origin !== undefined && origin.seq < seq ? origin : undefined;
  }

  /** As `#before`, from the epoch's name. An invented name reveals no more than an id of the named epoch. */
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
