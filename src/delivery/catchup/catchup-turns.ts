import type { Counters } from '../../runtime/counters.ts';
import { type Charge, type Evictable, FairShares, type NamedHolder, UNNAMED } from '../../runtime/sharing/fair-shares.ts';
import type { Reader } from '../reader/reader.ts';
import type { Group } from '../reader/reader-group.ts';

/** The most clients under whose names one group waits. Stops a group of thousands of clients from costing much each time that it waits. */
const GROUP_MAX_ENTRIES = 8;

/** A waiting group. Its `takeBack` does nothing, because a group is never evicted from the turns. */
interface WaitingGroup extends Evictable {
  readonly group: Group;
  /** One for each client under whose name the group waits. By the names of the holder, joined. */
  readonly charges: Map<string, Charge>;
}

/**
 * Groups that wait for a read of the log, or for a walk through the tail. The clients of their readers take turns, by credential and by address. So a client with streams in a thousand groups
 * does not make others wait for a thousand reads. A group waits under the names of several of its clients, and is served at the first turn of any of them.
 */
export class CatchupTurns {
  readonly #turns: FairShares<WaitingGroup>;
  readonly #waiting = new Map<Group, WaitingGroup>();
  /** Grows with each wait, so that the next wait of a large group chooses other readers. */
  #offset = 0;

  constructor(counters: Pick<Counters, 'evicted'>) {
    this.#turns = new FairShares({ gate: 'reads', counters });
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Makes a group wait for a turn.
   * @param readers The group's readers that wait. At most `GROUP_MAX_ENTRIES` of them, evenly spread, give their clients' names to the group.
   */
  wait(group: Group, readers: readonly Reader[]): void {
    let waiting = this.#waiting.get(group);
    if (waiting === undefined) this.#waiting.set(group, (waiting = { group, charges: new Map(), takeBack: () => undefined }));
    const step = Math.max(1, Math.floor(readers.length / GROUP_MAX_ENTRIES));
    const from = this.#offset++ % step;
    for (let at = from; at < readers.length && waiting.charges.size < GROUP_MAX_ENTRIES; at += step) this.#waitFor(readers[at]!.client?.holder() ?? UNNAMED, waiting);
  }

  #waitFor(holder: NamedHolder, waiting: WaitingGroup): void {
    const name = holder.join(' ');
    if (!waiting.charges.has(name)) waiting.charges.set(name, this.#turns.charge(holder, 1, waiting));
  }

  /** Removes and returns the group whose turn it is; undefined if none waits. */
  next(): Group | undefined {
    const group = this.#turns.next()?.group;
    if (group !== undefined) this.leave(group);
    return group;
  }

  leave(group: Group): void {
    const waiting = this.#waiting.get(group);
    if (waiting === undefined) return;
    this.#waiting.delete(group);
    for (const charge of waiting.charges.values()) charge.release();
  }
}
