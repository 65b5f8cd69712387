import type { Clock } from './clock.ts';
import type { Counters } from './counters.ts';

/**
 * The names of a holder, from the widest to the narrowest: the owner of a credential, an address, a connection. Behind a load balancer that does not tell
 * addresses all clients have one: then connections are what is compared.
 */
export type Holder = readonly [widest: HolderName, ...narrower: HolderName[]];
type HolderName = string | object;

/** A holder without a connection. */
export type NamedHolder = readonly [widest: string, ...narrower: string[]];

/** Leaves the connection out of a holder. */
export function namesOf(holder: Holder): NamedHolder {
  const [widest = '', ...narrower] = holder.filter((name) => typeof name === 'string');
  return [widest, ...narrower];
}

/** The holder for work of the process itself. */
export const ANYBODY: NamedHolder = [''];

/** How long something has to stand still before it is taken from a holder that has no more than a newcomer. Stops clients that are only slow from losing anything. */
const STANDSTILL_MS = 1_000;

/** Movements that follow each other so closely are one. Stops a body that comes a byte at a time from costing much for each. */
const MOVEMENT_STEP_MS = 100;

/** How many holdings are looked at for one that stands still. Stops a newcomer from costing more than its request does. */
const STANDSTILL_MAX_ENTRIES = 64;

/** The largest amount that is compared. Two holders beyond it count as equal. */
const COMPARED_MAX_ENTRIES = 0xffffffff;

/** One thing that a gate lets in, and how it is taken back. */
export interface Holding {
  /** The holder loses it to a newcomer. It must answer whoever waits for it. */
  takeBack(): void;
  /** Changes while the thing moves, such as the bytes that a client has taken. Absent where the gate says itself that it moved (`Share.grow`). */
  progress?(): number;
  /** It waits for the service, not for its client, so standing still is no reason to take it. */
  readonly waitsForUs?: boolean;
}

/** One thing that is held. */
export interface Share {
  /** Takes more room. That counts as a movement. */
  grow(amount: number): void;
  /** Takes less room, but not none. */
  shrink(amount: number): void;
  /** From now on it cannot be taken back. */
  pin(): void;
  /** Gives all room back. A second call does nothing. */
  release(): void;
}

/** The share of something that is not counted. */
export const UNCOUNTED: Share = { grow: () => undefined, shrink: () => undefined, pin: () => undefined, release: () => undefined };

export interface FairSharesDependencies {
  /** The name of this gate in the metric of evictions. */
  readonly gate: keyof Counters['evicted'];
  readonly counters: Pick<Counters, 'evicted'>;
  /** Given where what stands still makes room, too. */
  readonly clock?: Pick<Clock, 'monotonic'>;
}

/**
 * The shares of clients in one queue or budget, so that no client fills it for the others. Past the bound a newcomer gets room as long as it would hold less than the largest holder,
 * which loses the newest of what it holds. That is asked level by level: the largest sender, in it the largest address, in that the largest connection. So somebody with many
 * connections gains nothing by them.
 *
 * Two holders are told apart where one has about twice as much as the other: holders stand in buckets, one for each power of two. So every change and every question costs the same, however many holders
 * there are, and two of a size do not take from each other in turns. Memory is bounded by what is held.
 *
 * Where those beside a newcomer hold as much as it would, what stands still makes room in some gates: a body that has stopped coming, an answer that nobody takes.
 */
export class FairShares<Held extends Holding = Holding> {
  readonly #gate: keyof Counters['evicted'];
  readonly #counters: Pick<Counters, 'evicted'>;
  readonly #all = new Node<Held>(undefined, '');
  readonly #movements: Movements<Held> | undefined;

  constructor({ gate, counters, clock }: FairSharesDependencies) {
    this.#gate = gate;
    this.#counters = counters;
    this.#movements = clock && new Movements<Held>(clock);
  }

  /** How much is held. */
  get total(): number {
    return this.#all.amount;
  }

  /** How much a holder holds. */
  amountOf(holder: Holder): number {
    let node: Node<Held> | undefined = this.#all;
    for (const name of holder) node = node?.find(name);
    return node?.amount ?? 0;
  }

  /** Somebody holds something from now on. Whether there is room is for the gate to ask first. */
  hold(holder: Holder, amount: number, holding: Held): Share {
    return this.#hold(holder, amount, holding, false);
  }

  /** Counts a holding that is older than all counted ones of its holder. */
  holdEarlier(holder: Holder, amount: number, holding: Held): Share {
    return this.#hold(holder, amount, holding, true);
  }

  /**
   * Takes one thing back so that a newcomer gets room.
   * @param amount What the newcomer asks for.
   * @returns False where the newcomer has to be refused.
   */
  makeRoom(holder: Holder, amount: number): boolean {
    const share = this.#loser(holder, amount);
    if (share === undefined) return false;
    this.#counters.evicted[this.#gate]++;
    share.release();
    share.holding.takeBack();
    return true;
  }

  /** Whether `makeRoom` would take something back just now. */
  couldMakeRoom(holder: Holder, amount: number): boolean {
    return this.#loser(holder, amount) !== undefined;
  }

  /** The holder whose turn is next: they take turns at each level. Undefined where nothing can be taken. */
  next(): Held | undefined {
    return this.#all.nextInTurn()?.holding;
  }

  #hold(holder: Holder, amount: number, holding: Held, isOldest: boolean): Share {
    let node = this.#all;
    for (const name of holder) node = node.child(name);
    const share = new HeldShare(node, holding, this.#movements);
    if (isOldest) node.prepend(share);
    else node.append(share);
    share.grow(amount);
    return share;
  }

  /** The share that makes room for a newcomer, if any. */
  #loser(holder: Holder, amount: number): HeldShare<Held> | undefined {
    let around = this.#all;
    let own: Node<Held> | undefined = around;
    let wanted = amount;
    for (const name of holder) {
      around = own;
      own = around.find(name);
      wanted = amount + (own?.amount ?? 0);
      const { largest } = around;
      if (largest === undefined) return undefined;
      if (bucketOf(wanted) < bucketOf(largest.loose)) return largest.largestConnection.newest;
      // The newcomer is itself of the largest here.
      if (own === undefined) break;
    }
    return this.#movements?.standing((share) => {
      const other = share.branchOf(around);
      return other !== undefined && other !== own && bucketOf(2 * other.amount) >= bucketOf(wanted);
    });
  }
}

/** 0 for nothing, else one more than the power of two. */
function bucketOf(amount: number): number {
  return 32 - Math.clz32(Math.min(amount, COMPARED_MAX_ENTRIES));
}

/** A sender, an address or a connection, and those within it. */
class Node<Held extends Holding> {
  readonly parent: Node<Held> | undefined;
  readonly #name: HolderName;
  #children: Map<HolderName, Node<Held>> | undefined;
  /** Children that have something that can be taken back, by the power of two of how much: of each bucket the child that came into it last. */
  #buckets: (Node<Held> | undefined)[] | undefined;
  /** Which buckets have children: a bit for each. */
  #filled = 0;
  /** Only where there are no children: what can be taken back, the oldest first. */
  #first: HeldShare<Held> | undefined;
  #last: HeldShare<Held> | undefined;
  amount = 0;
  /** The part that can be taken back. */
  loose = 0;
  /** Its neighbours in its bucket. */
  #earlier: Node<Held> | undefined;
  #later: Node<Held> | undefined;

  constructor(parent: Node<Held> | undefined, name: HolderName) {
    this.parent = parent;
    this.#name = name;
  }

  find(name: HolderName): Node<Held> | undefined {
    return this.#children?.get(name);
  }

  child(name: HolderName): Node<Held> {
    const known = this.find(name);
    if (known !== undefined) return known;
    const made = new Node<Held>(this, name);
    (this.#children ??= new Map()).set(name, made);
    return made;
  }

  /** The largest child. Of children of one size, the one that reached the size last. */
  get largest(): Node<Held> | undefined {
    return this.#filled === 0 ? undefined : this.#buckets![bucketOf(this.#filled >>> 0)];
  }

  get largestConnection(): Node<Held> {
    const { largest } = this;
    return largest === undefined ? this : largest.largestConnection;
  }

  get newest(): HeldShare<Held> | undefined {
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

  #move(child: Node<Held>, before: number, after: number): void {
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
  nextInTurn(): HeldShare<Held> | undefined {
    if (this.loose === 0 || this.#children === undefined) return this.#first;
    for (const [name, child] of this.#children) {
      this.#children.delete(name);
      this.#children.set(name, child);
      if (child.loose > 0) return child.nextInTurn();
    }
    return undefined;
  }

  append(share: HeldShare<Held>): void {
    share.older = this.#last;
    if (this.#last === undefined) this.#first = share;
    else this.#last.newer = share;
    this.#last = share;
  }

  prepend(share: HeldShare<Held>): void {
    share.newer = this.#first;
    if (this.#first === undefined) this.#last = share;
    else this.#first.older = share;
    this.#first = share;
  }

  remove(share: HeldShare<Held>): void {
    if (share.older === undefined) this.#first = share.newer;
    else share.older.newer = share.newer;
    if (share.newer === undefined) this.#last = share.older;
    else share.newer.older = share.older;
  }
}

/** When things last moved, as far as that is known. */
class Movements<Held extends Holding> {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Shares that can be taken back, in the order in which they moved. */
  readonly #order = new Set<HeldShare<Held>>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  moved(share: HeldShare<Held>): void {
    const now = this.#clock.monotonic();
    if (now < share.movedAt + MOVEMENT_STEP_MS) return;
    share.movedAt = now;
    this.#order.delete(share);
    this.#order.add(share);
  }

  forget(share: HeldShare<Held>): void {
    this.#order.delete(share);
  }

  /** The share that has stood still for longest, and for long enough, among those that may be taken. */
  standing(mayTake: (share: HeldShare<Held>) => boolean): HeldShare<Held> | undefined {
    const until = this.#clock.monotonic() - STANDSTILL_MS;
    let looks = 0;
    for (const share of this.#order) {
      if (share.movedAt > until || ++looks > STANDSTILL_MAX_ENTRIES) return undefined;
      if (!mayTake(share)) continue;
      if (!share.hasProgressed()) return share;
      this.moved(share);
    }
    return undefined;
  }
}

class HeldShare<Held extends Holding> implements Share {
  readonly holding: Held;
  readonly #node: Node<Held>;
  readonly #movements: Movements<Held> | undefined;
  /** Its neighbours in the list of their connection. */
  older: HeldShare<Held> | undefined;
  newer: HeldShare<Held> | undefined;
  movedAt = -Infinity;
  #progress: number;
  #amount = 0;
  #isLoose = true;

  constructor(node: Node<Held>, holding: Held, movements: Movements<Held> | undefined) {
    this.#node = node;
    this.holding = holding;
    this.#movements = movements;
    this.#progress = holding.progress?.() ?? 0;
  }

  grow(amount: number): void {
    this.#amount += amount;
    this.#node.add(amount, this.#isLoose ? amount : 0);
    if (this.#isLoose && this.holding.waitsForUs !== true) this.#movements?.moved(this);
  }

  shrink(amount: number): void {
    this.#amount -= amount;
    this.#node.add(-amount, this.#isLoose ? -amount : 0);
  }

  pin(): void {
    if (!this.#isLoose) return;
    this.#isLoose = false;
    this.#movements?.forget(this);
    this.#node.remove(this);
    this.#node.add(0, -this.#amount);
  }

  release(): void {
    this.pin();
    if (this.#amount === 0) return;
    this.#node.add(-this.#amount, 0);
    this.#amount = 0;
  }

  /** The branch that it is in, of those that begin at a node. */
  branchOf(around: Node<Held>): Node<Held> | undefined {
    let branch: Node<Held> | undefined = this.#node;
    while (branch !== undefined && branch.parent !== around) branch = branch.parent;
    return branch;
  }

  /** Whether it has moved since somebody last asked. */
  hasProgressed(): boolean {
    const before = this.#progress;
    this.#progress = this.holding.progress?.() ?? 0;
    return this.#progress !== before;
  }
}
