import type { Balance, Debit, Holding, TopicCount } from '../../limits/ledger.ts';
import type { Clock } from '../../runtime/clock.ts';

/** The most buckets that are not full. Stops many addresses from filling the memory: the bucket charged longest ago is forgotten, so it is full again. */
const BUCKETS_MAX_ENTRIES = 100_000;

/** The most topics and owners. Stops them from filling the memory: the window that began first is forgotten. The newest window may exceed it, up to its owner's limit. */
const TOPICS_MAX_ENTRIES = 200_000;

/** A worker, and the owners of the stream places that the worker reported. */
export interface Holder {
  readonly instance: string;
  readonly owners: Set<string>;
}

interface Window {
  readonly topics: Set<string>;
  readonly endsAt: number;
}

/** The counts of all workers of one log, in the hub's memory: token buckets (`spend`), topics in a window (`addTopics`), and places of streams (`hold`). `limits/ledger.ts` explains them. */
export class LimitBook {
  readonly #clock: Clock;
  /** When each bucket is full again, by the hub's clock. In the order of the latest charges. */
  readonly #buckets = new Map<string, number>();
  readonly #windows = new Map<string, Window>();
  /** How many topics and owners `#windows` has. */
  #remembered = 0;
  readonly #holders = new Map<string, Holder>();
  /** The places of each owner, by worker. */
  readonly #places = new Map<string, Map<Holder, number>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  spend(debits: readonly Debit[]): readonly Balance[] {
    const now = this.#clock.monotonic();
    return debits.map(({ bucket, costMs, onlyWithinMs = Infinity }) => {
      const ahead = Math.max(0, (this.#buckets.get(bucket) ?? 0) - now);
      if (ahead > onlyWithinMs) return { isTaken: false, fullInMs: ahead };
      const fullInMs = Math.max(0, ahead + costMs);
      this.#buckets.delete(bucket);
      if (fullInMs > 0) this.#buckets.set(bucket, now + fullInMs);
      this.#forgetBuckets(now);
      return { isTaken: true, fullInMs };
    });
  }

  addTopics(owner: string, topics: readonly string[], windowMs: number): TopicCount {
    const now = this.#clock.monotonic();
    let window = this.#windows.get(owner);
    if (window !== undefined && window.endsAt <= now) this.#forgetWindow(owner, window);
    if (window === undefined || window.endsAt <= now) {
      window = { topics: new Set(), endsAt: now + windowMs };
      this.#windows.set(owner, window);
      this.#remembered++;
    }
    const before = window.topics.size;
    for (const topic of topics) window.topics.add(topic);
    this.#remembered += window.topics.size - before;
    for (const [oldest, other] of this.#windows) {
      if (this.#remembered <= TOPICS_MAX_ENTRIES && other.endsAt > now) break;
      if (other !== window) this.#forgetWindow(oldest, other);
    }
    return { topics: window.topics.size, windowLeftMs: window.endsAt - now };
  }

  /** Adds a worker. A worker that comes back reports all its places again, so its earlier places are freed. */
  enter(instance: string): Holder {
    const before = this.#holders.get(instance);
    if (before !== undefined) this.leave(before);
    const holder = { instance, owners: new Set<string>() };
    this.#holders.set(instance, holder);
    return holder;
  }

  hold(holder: Holder, holdings: readonly Holding[]): readonly boolean[] {
    return holdings.map(({ owner, places, most = Infinity }) => {
      const held = this.#places.get(owner);
      let all = places;
      for (const [other, count] of held ?? []) if (other !== holder) all += count;
      if (all > most) return false;
      if (places === 0) this.#release(holder, owner);
      else {
        if (held === undefined) this.#places.set(owner, new Map([[holder, places]]));
        else held.set(holder, places);
        holder.owners.add(owner);
      }
      return true;
    });
  }

  /** Frees the places of a worker that has ended, so that its streams can reconnect elsewhere. */
  leave(holder: Holder): void {
    for (const owner of holder.owners) this.#release(holder, owner);
    if (this.#holders.get(holder.instance) === holder) this.#holders.delete(holder.instance);
  }

  #release(holder: Holder, owner: string): void {
    holder.owners.delete(owner);
    const held = this.#places.get(owner);
    held?.delete(holder);
    if (held?.size === 0) this.#places.delete(owner);
  }

  /** Forgets the buckets charged longest ago, until the next is not full and there are not too many. */
  #forgetBuckets(now: number): void {
    for (const [bucket, fullAt] of this.#buckets) {
      if (fullAt > now && this.#buckets.size <= BUCKETS_MAX_ENTRIES) break;
      this.#buckets.delete(bucket);
    }
  }

  #forgetWindow(owner: string, window: Window): void {
    this.#windows.delete(owner);
    this.#remembered -= window.topics.size + 1;
  }
}
