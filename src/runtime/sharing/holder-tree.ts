/** Amounts are told apart up to this one. Two holders beyond it count as equal. */
const COMPARED_MAX_ENTRIES = 0xffffffff;

/** The name of a sender, or of an address, or a connection. */
export type HolderName = string | object;

/** One of a holder's things, in a list: its neighbours. */
export interface Linked<Part> {
  older: Part | undefined;
  newer: Part | undefined;
}

/** 0 for nothing, else one more than the power of two. */
export function bucketOf(amount: number): number {
  return 32 - Math.clz32(Math.min(amount, COMPARED_MAX_ENTRIES));
}

/** A sender, an address or a connection, and those within it. */
export class HolderNode<Part extends Linked<Part>> {
  readonly parent: HolderNode<Part> | undefined;
  readonly #name: HolderName;
  #children: Map<HolderName, HolderNode<Part>> | undefined;
  /** Children that have something that can be taken back, by the power of two of how much: of each bucket the child that came into it last. */
  #buckets: (HolderNode<Part> | undefined)[] | undefined;
  /** A bit for each bucket that has children. */
  #filled = 0;
  /** Only where there are no children: what can be taken back, the oldest first. */
  #first: Part | undefined;
  #last: Part | undefined;
  amount = 0;
  /** The part of it that can be taken back. */
  loose = 0;
  /** Its neighbours in its bucket. */
  #earlier: HolderNode<Part> | undefined;
  #later: HolderNode<Part> | undefined;

  constructor(parent: HolderNode<Part> | undefined, name: HolderName) {
    this.parent = parent;
    this.#name = name;
  }

  find(name: HolderName): HolderNode<Part> | undefined {
    return this.#children?.get(name);
  }

  child(name: HolderName): HolderNode<Part> {
    const known = this.find(name);
    if (known !== undefined) return known;
    const made = new HolderNode<Part>(this, name);
    (this.#children ??= new Map()).set(name, made);
    return made;
  }

  /** The largest child; among several of that size, the newest. */
  get largest(): HolderNode<Part> | undefined {
    return this.#filled === 0 ? undefined : this.#buckets![bucketOf(this.#filled >>> 0)];
  }

  get largestConnection(): HolderNode<Part> {
    const { largest } = this;
    return largest === undefined ? this : largest.largestConnection;
  }

  get newest(): Part | undefined {
    return this.#last;
  }

  /** Also to those around it. */
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

  #move(child: HolderNode<Part>, before: number, after: number): void {
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

  /** The oldest of the child whose turn it is, which comes last the next time. */
  nextInTurn(): Part | undefined {
    if (this.loose === 0 || this.#children === undefined) return this.#first;
    for (const [name, child] of this.#children) {
      this.#children.delete(name);
      this.#children.set(name, child);
      if (child.loose > 0) return child.nextInTurn();
    }
    return undefined;
  }

  append(part: Part): void {
    part.older = this.#last;
    if (this.#last === undefined) this.#first = part;
    else this.#last.newer = part;
    this.#last = part;
  }

  prepend(part: Part): void {
    part.newer = this.#first;
    if (this.#first === undefined) this.#last = part;
    else this.#first.older = part;
    this.#first = part;
  }

  remove(part: Part): void {
    if (part.older === undefined) this.#first = part.newer;
    else part.older.newer = part.newer;
    if (part.newer === undefined) this.#last = part.older;
    else part.newer.older = part.older;
  }
}
