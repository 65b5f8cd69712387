/** Amounts above this one count as equal: a bucket is a bit of a 32-bit number. */
const COMPARED_MAX_ENTRIES = 0xffffffff;

/** The name of a sender or an address, or the object of a connection. */
export type HolderName = string | object;

/** An item in the list of its holder, with its neighbours. */
export interface Linked<Item> {
  older: Item | undefined;
  newer: Item | undefined;
}

/** The number of an amount's binary digits: 0 for 0, 1 for 1, 2 for 2 to 3, 3 for 4 to 7, 4 for 8 to 15. */
export function bucketOf(amount: number): number {
  return 32 - Math.clz32(Math.min(amount, COMPARED_MAX_ENTRIES));
}

/**
 * A node of the tree of holders. The root's children are senders, their children are addresses, and then connections. Only nodes without children have items.
 *
 * A node sorts its children into buckets by their `loose` amounts. So it finds the largest child, and moves a child, without a walk over all children. A
 * node leaves the tree when its amount becomes 0, so the memory is bounded by the items.
 */
export class HolderNode<Item extends Linked<Item>> {
  readonly parent: HolderNode<Item> | undefined;
  readonly #name: HolderName;
  #children: Map<HolderName, HolderNode<Item>> | undefined;
  /** The children with loose items, by `bucketOf(child.loose)`. Each bucket is a linked list; this is its last child, which came latest. */
  #buckets: (HolderNode<Item> | undefined)[] | undefined;
  /** A bit for each bucket that has children: bit 0 is bucket 1. */
  #filled = 0;
  /** The ends of the list of loose items, if the node has no children. */
  #oldest: Item | undefined;
  #newest: Item | undefined;
  /** The sum of all charges in this subtree. */
  amount = 0;
  /** The part of `amount` whose items can be evicted. */
  loose = 0;
  /** Its neighbours in its bucket of the parent. */
  #earlier: HolderNode<Item> | undefined;
  #later: HolderNode<Item> | undefined;

  constructor(parent: HolderNode<Item> | undefined, name: HolderName) {
    this.parent = parent;
    this.#name = name;
  }

  find(name: HolderName): HolderNode<Item> | undefined {
    return this.#children?.get(name);
  }

  child(name: HolderName): HolderNode<Item> {
    const known = this.find(name);
    if (known !== undefined) return known;
    const made = new HolderNode<Item>(this, name);
    (this.#children ??= new Map()).set(name, made);
    return made;
  }

  /** The child with the largest bucket of loose items; of several, the child that came into the bucket last. */
  get largest(): HolderNode<Item> | undefined {
    return this.#filled === 0 ? undefined : this.#buckets![bucketOf(this.#filled >>> 0)];
  }

  /** Goes down to the largest child of the largest child, and so on. */
  get largestConnection(): HolderNode<Item> {
    const { largest } = this;
    return largest === undefined ? this : largest.largestConnection;
  }

  /** The newest loose item. */
  get newest(): Item | undefined {
    return this.#newest;
  }

  /** Changes the sums of this node and of all nodes above it. */
  add(amount: number, loose: number): void {
    this.amount += amount;
    const before = bucketOf(this.loose);
    this.loose += loose;
    if (this.parent === undefined) return;
    const after = bucketOf(this.loose);
    if (before !== after) this.parent.#move(this, before, after);
    if (this.amount === 0) this.parent.#children!.delete(this.#name);
    this.parent.add(amount, loose);
  }

  /** Moves a child from one bucket to another. Bucket 0 has no list. */
  #move(child: HolderNode<Item>, before: number, after: number): void {
    const buckets = (this.#buckets ??= []);
    if (before > 0) {
      const earlier = child.#earlier;
      const later = child.#later;
      if (earlier !== undefined) earlier.#later = later;
      if (later !== undefined) later.#earlier = earlier;
      else if ((buckets[before] = earlier) === undefined) this.#filled &= ~(1 << (before - 1));
      child.#earlier = undefined;
      child.#later = undefined;
    }
    if (after > 0) {
      const last = buckets[after];
      child.#earlier = last;
      if (last !== undefined) last.#later = child;
      buckets[after] = child;
      this.#filled |= 1 << (after - 1);
    }
  }

  /** The oldest loose item of the child whose turn it is. The child then goes to the end of the order. */
  nextInTurn(): Item | undefined {
    if (this.loose === 0 || this.#children === undefined) return this.#oldest;
    for (const [name, child] of this.#children) {
      this.#children.delete(name);
      this.#children.set(name, child);
      if (child.loose > 0) return child.nextInTurn();
    }
    return undefined;
  }

  append(item: Item): void {
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
  }

  prepend(item: Item): void {
    item.newer = this.#oldest;
    if (this.#oldest === undefined) this.#newest = item;
    else this.#oldest.older = item;
    this.#oldest = item;
  }

  remove(item: Item): void {
    if (item.older === undefined) this.#oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.#newest = item.older;
    else item.newer.older = item.older;
  }
}
