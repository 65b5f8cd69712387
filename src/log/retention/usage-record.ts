import { randomUUID } from 'node:crypto';
import { USAGE_MAX_ENTRIES, USAGE_PAGE_ENTRIES, type Holding, type StoredStretch, type UsageStore, type UsageStretch } from '../../store/contracts/usage-store.ts';
import type { Holders } from './holders.ts';

export interface UsageRecordDependencies {
  readonly store: UsageStore;
  /** undefined if topics have no quota; the same for senders. */
  readonly topics: Holders | undefined;
  readonly senders: Holders | undefined;
  /** A summary of this size gets no more counts. Bytes. */
  readonly stretchBytes: number;
  readonly oldest: () => number;
}

/** A stretch of the log that this instance will report. */
interface OwnStretch {
  readonly id: string;
  first: number;
  last: number;
  bytes: number;
}

/**
 * Stores summaries of the messages that this instance stored, and adds up the summaries of all instances. A summary covers a stretch of the log and grows until it has `stretchBytes`; then
 * the next one begins. So the store has few summaries. If retention deleted a part of a stretch, its summary counts for the rest of its numbers.
 *
 * Example: a summary for the numbers 101 to 200 has 8 MB for topic a. When the oldest number of the log is 151, it counts 4 MB.
 */
export class UsageRecord {
  readonly #store: UsageStore;
  readonly #topics: Holders | undefined;
  readonly #senders: Holders | undefined;
  readonly #stretchBytes: number;
  readonly #oldest: () => number;
  /** Stretches whose final summary the store may lack; the last one grows. */
  readonly #own: OwnStretch[] = [newStretch()];
  /** Bytes stored since the last report. */
  #untold = 0;
  #stored = new Map<string, StoredStretch>();
  #newest = 0;

  constructor({ store, topics, senders, stretchBytes, oldest }: UsageRecordDependencies) {
    this.#store = store;
    this.#topics = topics;
    this.#senders = senders;
    this.#stretchBytes = stretchBytes;
    this.#oldest = oldest;
  }

  /** The bytes stored since the last report to the store. */
  get untoldBytes(): number {
    return this.#untold;
  }

  stored(first: number, last: number, bytes: number): void {
    const stretch = this.#own.at(-1)!;
    stretch.first = Math.min(stretch.first, first);
    stretch.last = Math.max(stretch.last, last);
    stretch.bytes += bytes;
    this.#untold += bytes;
  }

  /** Reports the counts that the store lacks, and reads those that this instance lacks. Rejects with a `StoreError`. */
  async exchange(): Promise<void> {
    await this.tell();
    for (let reads = 0; reads < EXCHANGE_MAX_READS && await this.#hear(); ) reads++;
    this.#addUp();
  }

  /** Stores the summaries that the store may lack, the growing one included. */
  async tell(): Promise<void> {
    if (this.#untold === 0) return;
    const told = this.#untold;
    const stretches = this.#own.flatMap(({ id, first, last, bytes }, index): UsageStretch[] => bytes === 0 ? [] : [{
      id, first, last, topics: this.#topics?.summary(index) ?? [], senders: this.#senders?.summary(index) ?? [],
    }]);
    if (this.#own.at(-1)!.bytes >= this.#stretchBytes && this.#own.length < OWN_MAX_ENTRIES) {
      this.#own.push(newStretch());
      this.#topics?.beginSummary();
      this.#senders?.beginSummary();
    }
    await this.#store.write(stretches);
    this.#untold -= told;
  }

  /** Whether there is more to read. */
  async #hear(): Promise<boolean> {
    const { alive, changed } = await this.#store.changes(this.#newest);
    for (const stretch of changed) this.#stored.set(stretch.id, stretch);
    this.#newest = changed.at(-1)?.version ?? this.#newest;
    const versions = new Map(alive);
    this.#stored = new Map([...this.#stored].filter(([id]) => versions.has(id)));
    const missing = alive.filter(([id, version]) => this.#stored.get(id)?.version !== version);
    // A restored copy of the log gives versions a second time: read all summaries again.
    if (missing.some(([, version]) => version <= this.#newest) && changed.length === 0) {
      this.#stored.clear();
      this.#newest = 0;
    }
    return missing.length > 0;
  }

  #addUp(): void {
    const told = this.#own.length - 1;
    this.#own.splice(0, told);
    const [open] = this.#own;
    const oldest = this.#oldest();
    const topics = new Map<string, number>();
    const senders = new Map<string, number>();
    for (const stretch of this.#stored.values()) {
      // This instance counts its own newest messages itself.
      if (stretch.id === open?.id) continue;
      const part = heldPart(stretch, oldest);
      add(topics, stretch.topics, part);
      add(senders, stretch.senders, part);
    }
    this.#topics?.learn(topics, told);
    this.#senders?.learn(senders, told);
  }
}

/** Stops a store whose answers do not fit each other from being asked for ever. Twice as many as it takes to read all summaries. */
const EXCHANGE_MAX_READS = 2 * USAGE_MAX_ENTRIES / USAGE_PAGE_ENTRIES;

/** How many of the own summaries may wait for the store, with the one that grows. Stops them from filling the memory while the store is away: the last one grows on. */
const OWN_MAX_ENTRIES = 3;

function newStretch(): OwnStretch {
  return { id: randomUUID(), first: Infinity, last: 0, bytes: 0 };
}

function heldPart({ first, last }: UsageStretch, oldest: number): number {
  return Math.max(0, Math.min(1, (last - oldest + 1) / (last - first + 1)));
}

function add(sums: Map<string, number>, holdings: readonly Holding[], part: number): void {
  for (const [name, bytes] of holdings) sums.set(name, (sums.get(name) ?? 0) + bytes * part);
}
