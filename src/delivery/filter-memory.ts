import { indexedBytes } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import { Budget, Hold } from '../runtime/budget.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Holding, NamedHolder } from '../runtime/fair-shares.ts';
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
 * The memory of larger filters. Equal filters are held once, and count for the client that came first. Past the bound the client that holds most loses its newest: all its streams and
 * long polls with that filter end. Where others have the same filter, it stays, and counts for the next of them.
 */
export class FilterMemory {
  readonly #room: Budget;
  readonly #held = new Map<Group, HeldFilter>();

  constructor({ maxBytes, counters }: FilterMemoryOptions) {
    this.#room = new Budget(maxBytes, { gate: 'filters', counters });
  }

  get heldBytes(): number {
    return this.#room.heldBytes;
  }

  /** Whether there is room for a filter, or a larger holder has one that could give way. */
  hasRoomFor(filter: Filter, holder: () => NamedHolder): boolean {
    const bytes = countedBytes(filter);
    return this.#room.hasRoomFor(bytes) || this.#room.couldMakeRoom(holder(), bytes);
  }

  /** Makes room for a filter that is joined in the same turn. False where nobody has to give way. */
  makeRoom(filter: Filter, holder: () => NamedHolder): boolean {
    const bytes = countedBytes(filter);
    while (!this.#room.hasRoomFor(bytes)) if (!this.#room.makeRoom(holder(), bytes)) return false;
    return true;
  }

  /** A group begins. */
  begin(group: Group): void {
    if (group.filterBytes > 0) this.#held.set(group, new HeldFilter(this.#room, group.filterBytes));
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

/** A filter that is not small. It counts for its first user. Most filters have one, and each stream may bring one, so there is no list before the second. */
class HeldFilter implements Holding {
  readonly #room: Budget;
  readonly #bytes: number;
  #hold: Hold;
  #first: { readonly member: object; readonly user: FilterUser } | undefined;
  /** In the order in which they came. */
  #others: Map<object, FilterUser> | undefined;
  #isOver = false;

  constructor(room: Budget, bytes: number) {
    this.#room = room;
    this.#bytes = bytes;
    this.#hold = this.#held();
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
    this.#hold.release();
  }

  /** The next user is asked when there is still no room. */
  takeBack(): void {
    const { user } = this.#first!;
    // When it leaves, it is in no list any more.
    this.#next();
    user.giveWay();
    this.#count();
  }

  /** The first user has left: the filter is to count for the next one. */
  #next(): void {
    const next = this.#others?.entries().next().value;
    this.#first = next && { member: next[0], user: next[1] };
    if (next !== undefined) this.#others!.delete(next[0]);
  }

  #count(): void {
    if (this.#isOver) return;
    this.#hold.release();
    this.#hold = this.#held();
  }

  /** Without a user nobody could give way. */
  #held(): Hold {
    const hold = new Hold(this.#room, this.#first?.user.holder);
    if (this.#first !== undefined) hold.loosen(this);
    hold.mustGrow(this.#bytes);
    return hold;
  }
}

/** The memory that counts for a filter; 0 for a small one. */
export function countedBytes(filter: Filter): number {
  const bytes = indexedBytes(filter);
  return bytes <= SMALL_FILTER_BYTES ? 0 : bytes;
}
