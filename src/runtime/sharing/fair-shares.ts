import type { Clock } from '../clock.ts';
import type { Counters } from '../counters.ts';
import { bucketOf, HolderNode, type HolderName, type Linked } from './holder-tree.ts';
import { Movements, type Movable } from './standstill.ts';

/**
 * Who holds something, from the widest to the narrowest: the owner of a credential, an address, a connection. Behind a load balancer that does not tell
 * addresses all clients have one: then connections are compared.
 */
export type Holder = readonly [widest: HolderName, ...narrower: HolderName[]];

/** A holder without a connection. */
export type NamedHolder = readonly [widest: string, ...narrower: string[]];

/** Leaves the connection out of a holder. */
export function namesOf(holder: Holder): NamedHolder {
  const [widest = '', ...narrower] = holder.filter((name) => typeof name === 'string');
  return [widest, ...narrower];
}

/** The holder of everything that no other holder is named for: the process itself. */
export const UNNAMED: NamedHolder = [''];

/** The actions of a gate on one thing that it lets in. */
export interface Evictable {
  /** The holder loses it to a newcomer. It must answer whoever waits for it. */
  takeBack(): void;
  /**
   * Several holders may share a thing, which counts for one of them. From now on it counts for the next one that was not asked in this round. Nobody loses it.
   * @param round A number of its own for each attempt to make room.
   * @returns False where all have been asked: it can be taken back from all of them.
   */
  passOn?(round: number): boolean;
  /** Changes while the thing moves, such as the bytes that a client has taken. Absent where the gate says itself that it moved (`Charge.grow`). */
  progress?(): number;
  /** It waits for the service, and not for its client: standing still is no reason to take it. */
  readonly waitsForUs?: boolean;
}

/** One thing that is held. */
export interface Charge {
  /** Takes more room. That counts as a movement. */
  grow(amount: number): void;
  /** Takes less room, but not none. */
  shrink(amount: number): void;
  /** From now on it cannot be taken back. */
  pin(): void;
  /** Gives all room back. A second call does nothing. */
  release(): void;
}

/** Is told of each thing that could be taken back. @returns Whether all of them together make enough room. */
export type IsEnough<Held extends Evictable> = (holding: Held, amount: number) => boolean;

const ONE_IS_ENOUGH = (): boolean => true;

/** Enough is what frees so much. */
export function enough(missing: number): IsEnough<Evictable> {
  let left = missing;
  return (_holding, amount) => (left -= amount) <= 0;
}

/** The share of a thing that is not counted. */
export const UNCOUNTED: Charge = { grow: () => undefined, shrink: () => undefined, pin: () => undefined, release: () => undefined };

export interface FairSharesDependencies {
  /** The name of this gate in the metric of holdings taken back. */
  readonly gate: keyof Counters['evicted'];
  readonly counters: Pick<Counters, 'evicted'>;
  /** Given if holdings that stand still make room, too. */
  readonly clock?: Pick<Clock, 'monotonic'>;
}

/**
 * Shares one queue or budget, so that no client fills it for the others. Past the bound a newcomer gets room if it would hold less than the largest holder,
 * which loses the newest of its holdings. The question goes level by level: the largest sender, in it the largest address, in that the largest connection. So somebody with many
 * connections gains nothing by them.
 *
 * Two holders are told apart where one has about twice as much as the other: holders stand in buckets, one for each power of two. So every change and every question costs the same, however many holders
 * there are, and two of a size do not take from each other in turns. Memory is bounded by what is held.
 *
 * If those beside a newcomer hold as much as it would, some gates take holdings that stand still: a stopped body, an answer that nobody reads.
 */
export class FairShares<Held extends Evictable = Evictable> {
  readonly #gate: keyof Counters['evicted'];
  readonly #counters: Pick<Counters, 'evicted'>;
  readonly #all = new HolderNode<HeldCharge<Held>>(undefined, '');
  readonly #movements: Movements<HeldCharge<Held>> | undefined;
  #rounds = 0;

  constructor({ gate, counters, clock }: FairSharesDependencies) {
    this.#gate = gate;
    this.#counters = counters;
    this.#movements = clock && new Movements<HeldCharge<Held>>(clock);
  }

  /** How much is held. */
  get total(): number {
    return this.#all.amount;
  }

  /** How much a holder holds. */
  amountOf(holder: Holder): number {
    let node: HolderNode<HeldCharge<Held>> | undefined = this.#all;
    for (const name of holder) node = node?.find(name);
    return node?.amount ?? 0;
  }

  /** Somebody holds something from now on. Whether there is room is for the gate to ask first. */
  charge(holder: Holder, amount: number, holding: Held): Charge {
    return this.#charge(holder, amount, holding, false);
  }

  /** Counts a holding that is older than all counted ones of its holder. */
  chargeAsOldest(holder: Holder, amount: number, holding: Held): Charge {
    return this.#charge(holder, amount, holding, true);
  }

  /**
   * Takes things back so that a newcomer gets room. Nobody loses anything where that would not make enough.
   * @param amount What the newcomer asks for.
   * @param isEnough One thing is enough where it is absent.
   * @returns False where the newcomer has to be refused.
   */
  makeRoom(holder: Holder, amount: number, isEnough: IsEnough<Held> = ONE_IS_ENOUGH): boolean {
    const lifted = this.#lift(holder, amount, isEnough);
    if (lifted === undefined) return false;
    for (const share of lifted) {
      // Another that was taken back may have ended it, or let it begin.
      if (!share.isLifted) continue;
      this.#counters.evicted[this.#gate]++;
      share.release();
      share.holding.takeBack();
    }
    return true;
  }

  /** Whether `makeRoom` would make enough room just now. */
  couldMakeRoom(holder: Holder, amount: number, isEnough: IsEnough<Held> = ONE_IS_ENOUGH): boolean {
    const lifted = this.#lift(holder, amount, isEnough);
    if (lifted !== undefined) putBack(lifted);
    return lifted !== undefined;
  }

  /** The holder whose turn is next: they take turns at each level. Undefined where nothing can be taken. */
  next(): Held | undefined {
    return this.#all.nextInTurn()?.holding;
  }

  #charge(holder: Holder, amount: number, holding: Held, isOldest: boolean): Charge {
    let node = this.#all;
    for (const name of holder) node = node.child(name);
    const share = new HeldCharge(node, holding, this.#movements);
    if (isOldest) node.prepend(share);
    else node.append(share);
    share.grow(amount);
    return share;
  }

  /** Everything that has to be taken back for a newcomer, lifted; undefined where that would not be enough. */
  #lift(holder: Holder, amount: number, isEnough: IsEnough<Held>): readonly HeldCharge<Held>[] | undefined {
    const round = ++this.#rounds;
    const lifted: HeldCharge<Held>[] = [];
    for (;;) {
      const share = this.#loser(holder, amount, lifted);
      if (share === undefined) {
        putBack(lifted);
        return undefined;
      }
      if (share.holding.passOn?.(round) === true) continue;
      share.lift();
      lifted.push(share);
      if (isEnough(share.holding, share.amount)) return lifted;
    }
  }

  /** The next thing to take back for a newcomer, besides the lifted things; undefined where nothing makes room. */
  #loser(holder: Holder, amount: number, lifted: readonly HeldCharge<Held>[]): HeldCharge<Held> | undefined {
    let around = this.#all;
    let own: HolderNode<HeldCharge<Held>> | undefined = around;
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
      if (other === undefined || other === own) return false;
      const kept = lifted.reduce((rest, one) => one.branchOf(around) === other ? rest - one.amount : rest, other.amount);
      return bucketOf(2 * kept) >= bucketOf(wanted);
    });
  }
}

/** The newest was lifted first, and has to be the newest again. */
function putBack(lifted: readonly HeldCharge<Evictable>[]): void {
  for (const share of lifted.toReversed()) share.putBack();
}

/** A lifted share counts, and cannot be taken back: it is about to be, or is put back. */
type ShareState = 'loose' | 'lifted' | 'pinned';

class HeldCharge<Held extends Evictable> implements Charge, Movable, Linked<HeldCharge<Held>> {
  readonly holding: Held;
  readonly #node: HolderNode<HeldCharge<Held>>;
  readonly #movements: Movements<HeldCharge<Held>> | undefined;
  /** Its neighbours in the list of their connection. */
  older: HeldCharge<Held> | undefined;
  newer: HeldCharge<Held> | undefined;
  movedAt = -Infinity;
  #progress: number;
  #amount = 0;
  #state: ShareState = 'loose';

  constructor(node: HolderNode<HeldCharge<Held>>, holding: Held, movements: Movements<HeldCharge<Held>> | undefined) {
    this.#node = node;
    this.holding = holding;
    this.#movements = movements;
    this.#progress = holding.progress?.() ?? 0;
  }

  get amount(): number {
    return this.#amount;
  }

  get isLifted(): boolean {
    return this.#state === 'lifted';
  }

  grow(amount: number): void {
    this.#amount += amount;
    const isLoose = this.#state === 'loose';
    this.#node.add(amount, isLoose ? amount : 0);
    if (isLoose && this.holding.waitsForUs !== true) this.#movements?.moved(this);
  }

  shrink(amount: number): void {
    this.#amount -= amount;
    this.#node.add(-amount, this.#state === 'loose' ? -amount : 0);
  }

  lift(): void {
    this.#state = 'lifted';
    this.#leaveList();
  }

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

  #leaveList(): void {
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

  /** The child of a node that it is below. */
  branchOf(around: HolderNode<HeldCharge<Held>>): HolderNode<HeldCharge<Held>> | undefined {
    let branch: HolderNode<HeldCharge<Held>> | undefined = this.#node;
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
