import { indexedBytes } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import { Budget, Hold } from '../runtime/budget.ts';
import type { Counters } from '../runtime/counters.ts';
import type { NamedHolder } from '../runtime/fair-shares.ts';
import type { Group } from './reader-group.ts';

/** A filter up to here, such as one topic or a short pattern, is never refused: `MAX_STREAMS` bounds the sum of those. Stops clients that ask for a hundred topics from keeping others out. */
const SMALL_FILTER_BYTES = 2 * 1024;

/** A stream or long poll whose filter is not small. */
export interface FilterUser {
  /** By whom the memory of its filter is counted. */
  readonly holder: NamedHolder;
  /** Another client needs that memory: it ends, and leaves its group at once. */
  giveWay(): void;
}

/** A filter that is not small. */
interface Held {
  /** Streams and long polls that can give way, by the names of their holders. The holder that came first stands first. */
  readonly users: Map<string, Map<object, FilterUser>>;
  /** The holder of each reader or waiter. */
  readonly names: Map<object, string>;
  /** Whom the filter counts for; undefined where nobody can give way. */
  countsFor: string | undefined;
  hold: Hold;
}

export interface FilterMemoryOptions {
  /** Stops larger filters from filling the memory: each stream may bring one of its own. */
  readonly maxBytes: number;
  readonly counters: Pick<Counters, 'evicted'>;
}

/**
 * What filters hold that are not small. Equal filters are held once, and count for the client that came first. Past the bound the client that holds most loses its newest: all its streams and
 * long polls with that filter end. Where others have the same filter, it stays, and counts for the next of them.
 */
export class FilterMemory {
  readonly #room: Budget;
  readonly #held = new Map<Group, Held>();

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
    if (group.filterBytes > 0) this.#held.set(group, { users: new Map(), names: new Map(), countsFor: undefined, hold: this.#pinned(group) });
  }

  end(group: Group): void {
    this.#held.get(group)?.hold.release();
    this.#held.delete(group);
  }

  enter(group: Group, member: object, user: FilterUser): void {
    const held = this.#held.get(group);
    if (held === undefined) return;
    const name = user.holder.join(' ');
    held.names.set(member, name);
    const own = held.users.get(name);
    if (own === undefined) held.users.set(name, new Map([[member, user]]));
    else own.set(member, user);
    if (held.countsFor === undefined) this.#count(group, held);
  }

  leave(group: Group, member: object): void {
    const held = this.#held.get(group);
    const name = held?.names.get(member);
    if (held === undefined || name === undefined) return;
    held.names.delete(member);
    const own = held.users.get(name)!;
    own.delete(member);
    if (own.size > 0) return;
    held.users.delete(name);
    if (name === held.countsFor) this.#count(group, held);
  }

  /** The filter counts for the holder that came first. */
  #count(group: Group, held: Held): void {
    held.hold.release();
    const [first] = held.users;
    held.countsFor = first?.[0];
    const user = first?.[1].values().next().value;
    if (user === undefined) {
      held.hold = this.#pinned(group);
      return;
    }
    held.hold = new Hold(this.#room, user.holder);
    held.hold.loosen({ takeBack: () => this.#takeBack(group, held) });
    held.hold.mustGrow(group.filterBytes);
  }

  /** Nobody could give way. */
  #pinned(group: Group): Hold {
    const hold = new Hold(this.#room);
    hold.mustGrow(group.filterBytes);
    return hold;
  }

  #takeBack(group: Group, held: Held): void {
    const leaving = held.users.get(held.countsFor!)!;
    held.users.delete(held.countsFor!);
    // When they leave, they are in no list any more.
    for (const member of leaving.keys()) held.names.delete(member);
    for (const user of leaving.values()) user.giveWay();
    if (this.#held.get(group) === held) this.#count(group, held);
  }
}

/** What counts for a filter; 0 for a small one. */
export function countedBytes(filter: Filter): number {
  const bytes = indexedBytes(filter);
  return bytes <= SMALL_FILTER_BYTES ? 0 : bytes;
}
