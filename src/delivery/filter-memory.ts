import { indexedBytes } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import type { Counters } from '../runtime/counters.ts';
import { ANYBODY, enough, FairShares, type Holding, type NamedHolder, type Share } from '../runtime/fair-shares.ts';
import type { Group } from './reader-group.ts';

/** A filter up to here, such as one topic or a short pattern, is never refused: `MAX_STREAMS` bounds the sum of those. Stops clients that ask for a hundred topics from keeping others out. */
const SMALL_FILTER_BYTES = 2 * 1024;

/** A stream or long poll whose filter is not small. */
export interface FilterUser {
  /** The client that the memory of its filter counts for. */
  readonly holder: NamedHolder;
  /** Another client needs that memory: it ends, and leaves its group at once. */
  giveWay(): void;
}

export interface FilterMemoryOptions {
  /** Stops larger filters from filling the memory: each stream may bring one of its own. */
  readonly maxBytes: number;
  readonly counters: Pick<Counters, 'evicted'>;
}

/**
 * The memory of filters that are not small. Equal filters are held once, and count for one client at a time, at first for the first. Past the bound the client that holds most loses its
 * newest: all streams and long polls with that filter end. A filter that another client has, too, makes no room, so it counts for that one then, and nobody loses it.
 */
export class FilterMemory {
  readonly #maxBytes: number;
  readonly #shares: FairShares<HeldFilter>;
  readonly #held = new Map<Group, HeldFilter>();

  constructor({ maxBytes, counters }: FilterMemoryOptions) {
    this.#maxBytes = maxBytes;
    this.#shares = new FairShares({ gate: 'filters', counters });
  }

  get heldBytes(): number {
    return this.#shares.total;
  }

  /** Whether there is room for a filter, or larger holders have some that could give way. */
  hasRoomFor(filter: Filter, holder: () => NamedHolder): boolean {
    const bytes = countedBytes(filter);
    const missing = this.#missing(bytes);
    return missing <= 0 || this.#shares.couldMakeRoom(holder(), bytes, enough(missing));
  }

  /** Makes room for a filter that is joined in the same turn. False where others would have to give way that hold no more; then nobody does. */
  makeRoom(filter: Filter, holder: () => NamedHolder): boolean {
    const bytes = countedBytes(filter);
    const missing = this.#missing(bytes);
    return missing <= 0 || this.#shares.makeRoom(holder(), bytes, enough(missing));
  }

  /** How much has to be freed. One filter may be larger than the bound. */
  #missing(bytes: number): number {
    const { total } = this.#shares;
    return bytes === 0 ? 0 : Math.min(total, total + bytes - this.#maxBytes);
  }

  /** A group begins. */
  begin(group: Group): void {
    if (group.filterBytes > 0) this.#held.set(group, new HeldFilter(this.#shares, group.filterBytes));
  }

  end(group: Group): void {
    this.#held.get(group)?.end();
    this.#held.delete(group);
  }

  enter(group: Group, member: object, user: FilterUser): void {
    this.#held.get(group)?.enter(member, user);
  }

  leave(group: Group, member: object): void {
    this.#held.get(group)?.leave(member);
  }
}

interface Member {
  readonly member: object;
  readonly user: FilterUser;
}

/** A filter that is not small. It counts for its first user. Most filters have one, and each stream may bring one, so there is no list before the second. */
class HeldFilter implements Holding {
  readonly #shares: FairShares<HeldFilter>;
  readonly #bytes: number;
  #share: Share;
  #first: Member | undefined;
  #others: Map<object, FilterUser> | undefined;
  #isOver = false;
  /** The last round of `passOn`, and how many users were asked in it. */
  #round = 0;
  #asked = 0;

  constructor(shares: FairShares<HeldFilter>, bytes: number) {
    this.#shares = shares;
    this.#bytes = bytes;
    this.#share = this.#held();
  }

  enter(member: object, user: FilterUser): void {
    if (this.#first === undefined) {
      this.#first = { member, user };
      this.#count();
    } else {
      this.#others ??= new Map();
      this.#others.set(member, user);
    }
  }

  leave(member: object): void {
    if (this.#first?.member !== member) {
      this.#others?.delete(member);
      return;
    }
    this.#next();
    this.#count();
  }

  end(): void {
    this.#isOver = true;
    this.#share.release();
  }

  passOn(round: number): boolean {
    if (round !== this.#round) {
      this.#round = round;
      this.#asked = 0;
    }
    const before = this.#first!;
    // All streams of one client are one holder.
    while (++this.#asked <= (this.#others?.size ?? 0)) {
      const { member, user } = this.#first!;
      this.#next();
      this.#others!.set(member, user);
      if (isSame(this.#first!.user.holder, before.user.holder)) continue;
      this.#count();
      return true;
    }
    return false;
  }

  /** All users end: each was asked, and none may keep it. */
  takeBack(): void {
    const users = [this.#first!.user, ...this.#others?.values() ?? []];
    // When they leave, they are in no list any more.
    this.#first = undefined;
    this.#others = undefined;
    for (const user of users) user.giveWay();
    this.#count();
  }

  /** Makes the filter count for its next user. */
  #next(): void {
    const next = this.#others?.entries().next().value;
    this.#first = next && { member: next[0], user: next[1] };
    if (next !== undefined) this.#others!.delete(next[0]);
  }

  #count(): void {
    if (this.#isOver) return;
    this.#share.release();
    this.#share = this.#held();
  }

  /** Without a user nobody could give way. */
  #held(): Share {
    const share = this.#shares.hold(this.#first?.user.holder ?? ANYBODY, this.#bytes, this);
    if (this.#first === undefined) share.pin();
    return share;
  }
}

function isSame(one: NamedHolder, other: NamedHolder): boolean {
  return one.length === other.length && one.every((name, index) => name === other[index]);
}

/** The bytes that count for a filter; 0 for a small one. */
export function countedBytes(filter: Filter): number {
  const bytes = indexedBytes(filter);
  return bytes <= SMALL_FILTER_BYTES ? 0 : bytes;
}
