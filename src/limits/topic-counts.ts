import type { Clock } from '../runtime/clock.ts';
import { LedgerAway, type Ledger } from './ledger.ts';
import { ownerDigest, type Spent } from './token-buckets.ts';

/** The window in which an owner's topics are counted. It begins with the owner's first topic. */
export const TOPICS_WINDOW_MS = 24 * 3_600_000;

/** The most topics and owners in memory. Stops them from filling the memory: the owner with the oldest window is dropped. A single owner may have more, up to its limit. */
const TOPICS_MAX_ENTRIES = 200_000;

interface Window {
  /** The topics admitted here. */
  readonly topics: Set<string>;
  /** The topics on all instances, by the last answer of the ledger, and new ones here since. */
  shared: number;
  endsAt: number;
}

export interface TopicCountsDependencies {
  readonly most: number;
  readonly clock: Clock;
  readonly ledger: Ledger;
}

/**
 * How many distinct topics each owner publishes to in a window. An instance remembers the topics that it admitted. It reports them afterwards to the ledger, which counts
 * the topics of all instances approximately (HyperLogLog). An owner that has reached its limit goes on with topics that the instance remembers.
 */
export class TopicCounts {
  readonly most: number;
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  readonly #windows = new Map<string, Window>();
  #remembered = 0;

  constructor({ most, clock, ledger }: TopicCountsDependencies) {
    this.most = most;
    this.#clock = clock;
    this.#ledger = ledger;
  }

  /** Admits the topics of a request, all or none. Returns undefined if they are admitted. */
  take(owner: string, topics: readonly string[]): Spent | undefined {
    const window = this.#find(owner);
    const fresh = topics.filter((topic) => !window.topics.has(topic));
    if (fresh.length === 0) return undefined;
    const distinct = [...new Set(fresh)];
    const counted = Math.max(window.topics.size, window.shared);
    if (counted + distinct.length > this.most) return { retryMs: window.endsAt - this.#clock.monotonic(), left: Math.max(0, this.most - counted) };
    for (const topic of distinct) window.topics.add(topic);
    window.shared += distinct.length;
    this.#remembered += distinct.length;
    this.#makeRoom(window);
    if (this.#ledger.isUp) void this.#tell(owner, window, distinct);
    return undefined;
  }

  async #tell(owner: string, window: Window, topics: readonly string[]): Promise<void> {
    try {
      const { topics: shared, windowLeftMs } = await this.#ledger.addTopics(ownerDigest(owner), topics, TOPICS_WINDOW_MS);
      window.shared = shared;
      window.endsAt = this.#clock.monotonic() + windowLeftMs;
    } catch (error) {
      if (!(error instanceof LedgerAway)) throw error;
    }
  }

  #find(owner: string): Window {
    const known = this.#windows.get(owner);
    const now = this.#clock.monotonic();
    if (known !== undefined && now < known.endsAt) return known;
    if (known !== undefined) this.#forget(owner, known);
    const window = { topics: new Set<string>(), shared: 0, endsAt: now + TOPICS_WINDOW_MS };
    this.#windows.set(owner, window);
    this.#remembered++;
    this.#makeRoom(window);
    return window;
  }

  /** Drops windows that have ended, and the oldest windows while there are too many entries. */
  #makeRoom(current: Window): void {
    const now = this.#clock.monotonic();
    for (const [oldest, window] of this.#windows) {
      if (this.#remembered <= TOPICS_MAX_ENTRIES && now < window.endsAt) break;
      if (window !== current) this.#forget(oldest, window);
    }
  }

  #forget(owner: string, window: Window): void {
    this.#windows.delete(owner);
    this.#remembered -= window.topics.size + 1;
  }
}
