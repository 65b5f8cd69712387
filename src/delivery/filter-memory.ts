import { indexedBytes } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import type { Counters } from '../runtime/counters.ts';
import { type Charge, enough, type Evictable, FairShares, type NamedHolder, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import type { Group } from './reader/reader-group.ts';

/** Filters up to this size, such as one topic or a short pattern, are free: `MAX_STREAMS` bounds their sum. Stops clients with a hundred topics from keeping small filters out. */
const SMALL_FILTER_BYTES = 2 * 1024;

/** A stream or long poll whose filter is not small. */
export interface FilterUser {
  /** The client that the filter's memory counts for. */
  readonly holder: NamedHolder;
  /** Ends this user, which leaves its group at once: another client needs the memory. */
  giveWay(): void;
}

export interface FilterMemoryOptions {
  /** Bounds all larger filters together. Stops streams that each bring their own filter from filling the memory. */
  readonly maxBytes: number;
  readonly counters: Pick<Counters, 'evicted'>;
}

/**
 * The memory of filters that are not small. An instance holds equal filters once, and counts them for one client, at first for the filter's first user.
 *
 * Past the bound, the client that holds most loses its newest filter: all streams and long polls with that filter end. If another client uses the filter, too, the filter
 * counts for that client instead, and nobody loses it.
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

  /** Whether a filter fits, or would fit if larger holders gave filters up. */
  hasRoomFor(filter: Filter, holder: () => NamedHolder): boolean {
    const bytes = countedBytes(filter);
    const missing = this.#missing(bytes);
    return missing <= 0 || this.#shares.couldMakeRoom(holder(), bytes, enough(missing));
  }

  /** Makes room for a filter that joins in the same turn. Returns false, and takes nothing back, if no larger holders can free enough. */
  makeRoom(filter: Filter, holder: () => NamedHolder): boolean {
    const bytes = countedBytes(filter);
    const missing = this.#missing(bytes);
    return missing <= 0 || this.#shares.makeRoom(holder(), bytes, enough(missing));
  }

  /** The bytes to free for a filter. A single filter may be larger than the bound: it then needs the memory empty. */
  #missing(bytes: number): number {
    const { total } = this.#shares;
    return bytes === 0 ? 0 : Math.min(total, total + bytes - this.#maxBytes);
  }

  /** Begins to count the filter of a new group. */
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

/** A filter that is not small, counted for its first user. Most filters have one user, so the map of others exists only from the second user on. */
class HeldFilter implements Evictable {
  readonly #shares: FairShares<HeldFilter>;
  readonly #bytes: number;
  #charge: Charge;
  #first: Member | undefined;
  #others: Map<object, FilterUser> | undefined;
  #isOver = false;
  /** The last round of `passOn`. */
  #round = 0;
  /** How many users that round has tried. */
  #asked = 0;

  constructor(shares: FairShares<HeldFilter>, bytes: number) {
    this.#shares = shares;
    this.#bytes = bytes;
    this.#charge = this.#chargeForFirst();
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
    this.#replaceFirst();
    this.#count();
  }

  end(): void {
    this.#isOver = true;
    this.#charge.release();
  }

  passOn(round: number): boolean {
    if (round !== this.#round) {
      this.#round = round;
      this.#asked = 0;
    }
    const before = this.#first!;
    // Skip other streams of the same client: they are the same holder.
    while (++this.#asked <= (this.#others?.size ?? 0)) {
      const { member, user } = this.#first!;
      this.#replaceFirst();
      this.#others!.set(member, user);
      if (isSame(this.#first!.user.holder, before.user.holder)) continue;
      this.#count();
      return true;
    }
    return false;
  }

  /** Ends all users of the filter, because no client may keep it. */
  takeBack(): void {
    const users = [this.#first!.user, ...this.#others?.values() ?? []];
    // `giveWay` calls `leave`, which must find no user here.
    this.#first = undefined;
    this.#others = undefined;
    for (const user of users) user.giveWay();
    this.#count();
  }

  /** Moves the next user to `#first`. The caller then calls `#count`. */
  #replaceFirst(): void {
    const next = this.#others?.entries().next().value;
    this.#first = next && { member: next[0], user: next[1] };
    if (next !== undefined) this.#others!.delete(next[0]);
  }

  /** Counts the filter for the user that `#first` holds now. */
  #count(): void {
    if (this.#isOver) return;
    this.#charge.release();
    this.#charge = this.#chargeForFirst();
  }

  /** Takes a share for `#first`. Without a counted user, as when only a webhook waits in the group, nobody can give way: the share is pinned. */
  #chargeForFirst(): Charge {
    const charge = this.#shares.charge(this.#first?.user.holder ?? UNNAMED, this.#bytes, this);
    if (this.#first === undefined) charge.pin();
    return charge;
  }
}

function isSame(one: NamedHolder, other: NamedHolder): boolean {
  return one.length === other.length && one.every((name, index) => name === other[index]);
}

/** The bytes that a filter counts for; 0 for a small filter. */
export function countedBytes(filter: Filter): number {
  const bytes = indexedBytes(filter);
  return bytes <= SMALL_FILTER_BYTES ? 0 : bytes;
}
