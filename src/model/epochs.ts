import type { Position } from './position.ts';

/** An epoch of the log, and the first number that it may give out. */
export interface Epoch {
  readonly epoch: string;
  readonly first: number;
  /** The secret that proves on the bus that a sender can read the log, in hexadecimal digits. Undefined if a program that knew no secrets began the epoch. */
  readonly secret?: string | undefined;
}

/** The parts of an epoch's name: random characters, and the first characters of the epoch before it. */
export const EPOCH_RANDOM_CHARACTERS = 8;
const EPOCH_PARENT_CHARACTERS = 6;

/**
 * The name of an epoch: random characters, the first characters of the epoch before it, and its own first number in hexadecimal. So a log that has lost
 * an epoch can still see from an id where that epoch began. The first epoch of a log has only random characters; older programs gave it 10. An example:
 *
 *     k3f9x2ab   k3f9x2     1f4      an epoch that begins at number 500, after an epoch `k3f9x2…`
 *     random     parent     first
 *
 * @param parent The epoch of the number before; undefined for the first.
 */
export function epochName(random: string, parent: string | undefined, first: number): string {
  return parent === undefined ? random : `${random}${parent.slice(0, EPOCH_PARENT_CHARACTERS)}${first.toString(16)}`;
}

const NAME_WITH_ORIGIN = new RegExp(`^[a-z0-9]{${EPOCH_RANDOM_CHARACTERS}}([a-z0-9]{${EPOCH_PARENT_CHARACTERS}})([1-9a-f][0-9a-f]*)$`);

/** The origin in an epoch's name: the first characters of the epoch before it, and the last number of that epoch. Undefined if the name has no origin. */
export function namedOrigin(name: string): { readonly parent: string; readonly seq: number } | undefined {
  const [, parent, digits = ''] = NAME_WITH_ORIGIN.exec(name) ?? [];
  const first = Number.parseInt(digits, 16);
  return parent !== undefined && Number.isSafeInteger(first) ? { parent, seq: first - 1 } : undefined;
}

/**
 * The epochs of a log in the order in which they began. A new epoch begins at head + 1 whenever an older copy may have replaced the log. So if two copies
 * give out the same number, its epochs differ, and an id of the lost copy is recognised.
 */
export class Lineage {
  readonly epochs: readonly Epoch[];
  readonly #index = new Map<string, number>();

  constructor(epochs: readonly Epoch[]) {
    this.epochs = epochs;
    epochs.forEach(({ epoch }, index) => this.#index.set(epoch, index));
  }

  /**
   * Invariant 8: an id is good only if its epoch is known and its number lies before the first of the epoch after it.
   * @returns The last number that this log shares with the log of the id: `seq` for a good id, a smaller number after a fork. Undefined if this log does not
   * have the epoch. Example with the epochs a (first 1) and b (first 100): a-50 → 50, a-120 → 99, b-120 → 120, c-7 → undefined.
   */
  shared({ epoch, seq }: Position): number | undefined {
    const index = this.#index.get(epoch);
    if (index === undefined) return undefined;
    const first = this.epochs[index]!.first;
    if (seq < first && !(index === 0 && seq === first - 1)) return undefined;
    const next = this.epochs[index + 1];
    return next === undefined || seq < next.first ? seq : next.first - 1;
  }

  knows(epoch: string): boolean {
    return this.#index.has(epoch);
  }

  isGood(position: Position): boolean {
    return this.shared(position) === position.seq;
  }

  /** The position at a number: its epoch is the latest that began at or before it. */
  at(seq: number): Position {
    let low = 0;
    let high = this.epochs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.epochs[middle]!.first <= seq) low = middle;
      else high = middle - 1;
    }
    return { epoch: this.epochs[low]!.epoch, seq };
  }
}

/** The state of the log in one snapshot of the store. */
export interface LogState {
  readonly lineage: Lineage;
  /** The smallest number that the log still has; head + 1 if it has none. */
  readonly oldest: number;
  /** The newest sequence number; 0 for an empty log. */
  readonly head: number;
  /** The store's clock when the snapshot was taken, in milliseconds since 1970. */
  readonly now: number;
  /** The version of the newest erasure (store/contracts/erasure-store.ts). Absent in answers from which no reader continues to data. */
  readonly erasures?: number;
}
