import type { Charge, Evictable } from './evictable.ts';
import type { HolderNode, Linked } from './holder-tree.ts';
import type { Movable, Movements } from './standstill.ts';

/**
 * - `loose`: the item can be evicted. It is in the list of its connection.
 * - `chosen`: the current search has chosen the item. It is evicted next, or put back.
 * - `pinned`: the item cannot be evicted.
 *
 * An item counts in the `amount` of its holder in every state, and in `loose` only while it is loose.
 */
type ChargeState = 'loose' | 'chosen' | 'pinned';

/** One item that a gate has admitted, with its amount and its holder. */
export class ItemCharge<Item extends Evictable> implements Charge, Movable, Linked<ItemCharge<Item>> {
  readonly item: Item;
  /** The narrowest node of its holder, usually a connection. */
  readonly #node: HolderNode<ItemCharge<Item>>;
  readonly #movements: Movements<ItemCharge<Item>> | undefined;
  /** Its neighbours in the list of its node. */
  older: ItemCharge<Item> | undefined;
  newer: ItemCharge<Item> | undefined;
  movedAt = -Infinity;
  /** The item's progress when it was last compared. */
  #progress: number;
  #amount = 0;
  #state: ChargeState = 'loose';

  constructor(node: HolderNode<ItemCharge<Item>>, item: Item, movements: Movements<ItemCharge<Item>> | undefined) {
    this.#node = node;
    this.item = item;
    this.#movements = movements;
    this.#progress = item.progress?.() ?? 0;
  }

  get amount(): number {
    return this.#amount;
  }

  get isChosen(): boolean {
    return this.#state === 'chosen';
  }

  grow(amount: number): void {
    this.#amount += amount;
    const isLoose = this.#state === 'loose';
    this.#node.add(amount, isLoose ? amount : 0);
    if (isLoose && this.item.waitsForUs !== true) this.#movements?.moved(this);
  }

  shrink(amount: number): void {
    this.#amount -= amount;
    this.#node.add(-amount, this.#state === 'loose' ? -amount : 0);
  }

  /** From `loose` to `chosen`. */
  choose(): void {
    this.#state = 'chosen';
    this.#leaveList();
  }

  /** From `chosen` back to `loose`, as the newest item of its connection. */
  putBack(): void {
    this.#state = 'loose';
    this.older = undefined;
    this.newer = undefined;
    this.#node.append(this);
    this.#node.add(0, this.#amount);
    if (this.movedAt !== -Infinity) this.#movements?.putBack(this);
  }

  pin(): void {
    if (this.#state === 'pinned') return;
    if (this.#state === 'loose') this.#leaveList();
    this.#state = 'pinned';
  }

  release(): void {
    this.pin();
    if (this.#amount === 0) return;
    this.#node.add(-this.#amount, 0);
    this.#amount = 0;
  }

  #leaveList(): void {
    this.#movements?.forget(this);
    this.#node.remove(this);
    this.#node.add(0, -this.#amount);
  }

  /** The child of `level` whose subtree holds this item; undefined if there is none. */
  branchBelow(level: HolderNode<ItemCharge<Item>>): HolderNode<ItemCharge<Item>> | undefined {
    let branch: HolderNode<ItemCharge<Item>> | undefined = this.#node;
    while (branch !== undefined && branch.parent !== level) branch = branch.parent;
    return branch;
  }

  hasProgressed(): boolean {
    const before = this.#progress;
    this.#progress = this.item.progress?.() ?? 0;
    return this.#progress !== before;
  }
}
