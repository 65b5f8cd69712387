import type { Counters } from '../../runtime/counters.ts';
import { type Charge, type Evictable, FairShares, type NamedHolder, UNNAMED } from '../../runtime/sharing/fair-shares.ts';
import type { Reader } from '../reader/reader.ts';
import type { Group } from '../reader/reader-group.ts';

/** Under how many of its clients a group waits at most. Stops a group of thousands from costing much each time that it waits. */
const GROUP_MAX_ENTRIES = 8;

/** A waiting group. Nothing is taken back: a group can wait for any time. */
interface WaitingGroup extends Evictable {
  readonly group: Group;
  /** By the names of the holders. */
  readonly charges: Map<string, Charge>;
}

/**
 * Groups that wait for a read of the log, or for a walk through the tail. The clients of their readers take turns, by credential and by address. So a client with streams in a thousand groups
 * does not make others wait for a thousand reads. A group waits under several of its clients, and comes at the first turn of one of them.
 */
export class CatchupTurns {
  readonly #turns: FairShares<WaitingGroup>;
  readonly #waiting = new Map<Group, WaitingGroup>();
  /** Shifts the choice of readers, so that the next wait chooses others. */
  #offset = 0;

  constructor(counters: Pick<Counters, 'evicted'>) {
    this.#turns = new FairShares({ gate: 'reads', counters });
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** @param readers Readers of the group that wait. Their clients take turns for it. */
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

  /** Takes the group whose turn it is. */
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
