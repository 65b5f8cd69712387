import type { Clock } from '../clock.ts';
import type { Counters } from '../counters.ts';
import type { Charge, Evictable } from './evictable.ts';
import { bucketOf, HolderNode, type HolderName } from './holder-tree.ts';
import { ItemCharge } from './item-charge.ts';
import { Movements } from './standstill.ts';

export type { Charge, Evictable } from './evictable.ts';

/**
 * This folder shares scarce room between clients: queues, budgets of memory, calls of a database. A gate is a queue or a budget with a bound. It charges each
 * item that it admits to a holder. When the gate is full, `FairShares` names the items that lose their room to a newcomer.
 *
 * Read evictable.ts first: the callbacks that a gate implements, and the charge that it gets. Then this file, holder-tree.ts (the amounts of holders), item-charge.ts (the states of an item), and
 * standstill.ts (items without progress). The gates of this folder are budget.ts (bytes), memory-turns.ts (work that takes memory), call-limiter.ts (concurrent calls), and
 * batches.ts (calls for many questions).
 */

/**
 * The client that an item is charged to, from the widest name to the narrowest: the owner of a credential, an address, a connection. Behind a load balancer that hides
 * client addresses, all clients share one address. Then connections tell them apart.
 */
export type Holder = readonly [widest: HolderName, ...narrower: HolderName[]];

/** A holder without a connection. */
export type NamedHolder = readonly [widest: string, ...narrower: string[]];

/** Leaves the connection out of a holder. */
export function namesOf(holder: Holder): NamedHolder {
  const [widest = '', ...narrower] = holder.filter((name) => typeof name === 'string');
  return [widest, ...narrower];
}

/** The holder of every item for which the caller names no holder: the process itself. */
export const UNNAMED: NamedHolder = [''];

/**
 * Decides when a search has chosen enough items. It is called once for each chosen item, in order, and adds up their amounts.
 * @returns Whether all chosen items together free enough room.
 */
export type IsEnough<Item extends Evictable> = (item: Item, amount: number) => boolean;

const ONE_IS_ENOUGH = (): boolean => true;

/** Makes a test that is true once the chosen items free at least `missing`. It counts, so make a new one for each call. */
export function enough(missing: number): IsEnough<Evictable> {
  let left = missing;
  return (_item, amount) => (left -= amount) <= 0;
}

/** The charge of an item that no gate counts. */
export const UNCOUNTED: Charge = { grow: () => undefined, shrink: () => undefined, pin: () => undefined, release: () => undefined };

export interface FairSharesDependencies {
  /** The name of this gate in the metric of evictions. */
  readonly gate: keyof Counters['evicted'];
  readonly counters: Pick<Counters, 'evicted'>;
  /** Set it to let the gate evict items that make no progress, too. */
  readonly clock?: Pick<Clock, 'monotonic'>;
}

/**
 * Shares one queue or budget, so that no client fills it for the others. When the gate is full, a newcomer gets room if it would hold less than the largest
 * holder. That holder loses its newest item.
 *
 * The search goes down level by level: senders, then addresses of one sender, then connections of one address. At each level it compares the newcomer's own branch, with
 * the new item, to the largest branch. So a client with many connections gains nothing by them.
 *
 * A branch is larger only if its bucket is: bucket 1 is 1, bucket 2 is 2 to 3, bucket 3 is 4 to 7, and so on. So no search costs more with more
 * holders, and two holders of equal size do not evict each other. An example: a queue of 8 requests is full.
 *
 * ```
 * sender A          5 requests   bucket 3
 *   address A1      4            bucket 3
 *     connection X  3            bucket 2
 *     connection Y  1            bucket 1
 *   address A2      1            bucket 1
 * sender B          2            bucket 2
 * sender C          1            bucket 1
 *
 * newcomer          compares with its new request               evicts the newest request of
 * B                 senders: B 3 (bucket 2) < A 5 (bucket 3)    X, the largest connection of A's largest address
 * A, address A2     senders: A 6 is not less than A 5
 *                   addresses: A2 2 (bucket 2) < A1 4           X
 * A, A1, X          senders, addresses: not less
 *                   connections: X 4 (bucket 3) > X 3           nobody: the newcomer is refused
 * ```
 *
 * The newcomer's branch counts with its pinned items. The largest branch counts only with items that can be evicted.
 *
 * If no branch is larger, a gate with a clock evicts an item that makes no progress, such as a stopped body or an answer that nobody reads. It must
 * belong to a branch beside the newcomer's, at most one bucket smaller than the newcomer's would be.
 */
export class FairShares<Item extends Evictable = Evictable> {
  readonly #gate: keyof Counters['evicted'];
  readonly #counters: Pick<Counters, 'evicted'>;
  readonly #all = new HolderNode<ItemCharge<Item>>(undefined, '');
  readonly #movements: Movements<ItemCharge<Item>> | undefined;
  #rounds = 0;

  constructor({ gate, counters, clock }: FairSharesDependencies) {
    this.#gate = gate;
    this.#counters = counters;
    this.#movements = clock && new Movements<ItemCharge<Item>>(clock);
  }

  /** The sum of all charges. */
  get total(): number {
    return this.#all.amount;
  }

  /** The sum of a holder's charges. */
  amountOf(holder: Holder): number {
    let node: HolderNode<ItemCharge<Item>> | undefined = this.#all;
    for (const name of holder) node = node?.find(name);
    return node?.amount ?? 0;
  }

  /** Charges an item to a holder. If the gate is full, call `makeRoom` first: this method checks no bound. */
  charge(holder: Holder, amount: number, item: Item): Charge {
    return this.#charge(holder, amount, item, false);
  }

  /** Charges an item that is older than all other items of its holder. */
  chargeAsOldest(holder: Holder, amount: number, item: Item): Charge {
    return this.#charge(holder, amount, item, true);
  }

  #charge(holder: Holder, amount: number, item: Item, isOldest: boolean): Charge {
    let node = this.#all;
    for (const name of holder) node = node.child(name);
    const charge = new ItemCharge(node, item, this.#movements);
    if (isOldest) node.prepend(charge);
    else node.append(charge);
    charge.grow(amount);
    return charge;
  }

  /**
   * Evicts items so that a newcomer gets room. Evicts nothing if that would not free enough.
   * @param amount The amount that the newcomer asks for.
   * @param isEnough By default, one evicted item is enough.
   * @returns False if the gate must refuse the newcomer.
   */
  makeRoom(holder: Holder, amount: number, isEnough: IsEnough<Item> = ONE_IS_ENOUGH): boolean {
    const chosen = this.#choose(holder, amount, isEnough);
    if (chosen === undefined) return false;
    for (const charge of chosen) {
      // The `takeBack` of an earlier item may have released or pinned this one.
      if (!charge.isChosen) continue;
      this.#counters.evicted[this.#gate]++;
      charge.release();
      charge.item.takeBack();
    }
    return true;
  }

  /** Whether `makeRoom` would make enough room at this moment. */
  couldMakeRoom(holder: Holder, amount: number, isEnough: IsEnough<Item> = ONE_IS_ENOUGH): boolean {
    const chosen = this.#choose(holder, amount, isEnough);
    if (chosen !== undefined) putBack(chosen);
    return chosen !== undefined;
  }

  /** Chooses all items to evict for a newcomer. Returns undefined, and chooses none, if they would not free enough. */
  #choose(holder: Holder, amount: number, isEnough: IsEnough<Item>): readonly ItemCharge<Item>[] | undefined {
    const round = ++this.#rounds;
    const chosen: ItemCharge<Item>[] = [];
    const search: Search<Item> = { holder, amount, chosen };
    for (;;) {
      const charge = this.#candidate(search, this.#all, 0);
      if (charge === undefined) {
        putBack(chosen);
        return undefined;
      }
      if (charge.item.passOn?.(round) === true) continue;
      charge.choose();
      chosen.push(charge);
      if (isEnough(charge.item, charge.amount)) return chosen;
    }
  }

  /** The next item to evict for a newcomer; undefined if there is none. @param depth The place in the holder of the names that `level` compares. */
  #candidate(search: Search<Item>, level: HolderNode<ItemCharge<Item>>, depth: number): ItemCharge<Item> | undefined {
    const { largest } = level;
    if (largest === undefined) return undefined;
    const { holder, amount } = search;
    const ownBranch = level.find(holder[depth]!);
    const wanted = amount + (ownBranch?.amount ?? 0);
    if (bucketOf(wanted) < bucketOf(largest.loose)) return largest.largestConnection.newest;
    const isLowestLevel = ownBranch === undefined || depth + 1 === holder.length;
    return isLowestLevel ? this.#candidateWithoutProgress(search.chosen, level, ownBranch, wanted) : this.#candidate(search, ownBranch, depth + 1);
  }

  /** An item that makes no progress, of a branch beside the newcomer's. @param wanted The size of the newcomer's branch with the new item. */
  #candidateWithoutProgress(chosen: readonly ItemCharge<Item>[], level: HolderNode<ItemCharge<Item>>, ownBranch: HolderNode<ItemCharge<Item>> | undefined, wanted: number): ItemCharge<Item> | undefined {
    return this.#movements?.firstAtRest((charge) => {
      const branch = charge.branchBelow(level);
      if (branch === undefined || branch === ownBranch) return false;
      const kept = chosen.reduce((rest, other) => other.branchBelow(level) === branch ? rest - other.amount : rest, branch.amount);
      // Twice the amount is one bucket more.
      return bucketOf(2 * kept) >= bucketOf(wanted);
    });
  }

  /** The item whose turn it is: at each level, holders take turns. Undefined if no item can be evicted. */
  next(): Item | undefined {
    return this.#all.nextInTurn()?.item;
  }
}

/** A search for items to evict. */
interface Search<Item extends Evictable> {
  /** The newcomer. */
  readonly holder: Holder;
  /** The amount that the newcomer asks for. */
  readonly amount: number;
  /** The items that the search has chosen so far. */
  readonly chosen: readonly ItemCharge<Item>[];
}

/** The search chose the newest item first. In reverse order, it becomes the newest again. */
function putBack(chosen: readonly ItemCharge<Evictable>[]): void {
  for (const charge of chosen.toReversed()) charge.putBack();
}
