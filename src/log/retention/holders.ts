import type { Holding } from '../../store/contracts/usage-store.ts';
import { HeavyHitters } from './heavy-hitters.ts';

/** The most names of a summary. Bounds its size, and the error of a count: it is too small by at most 1/129 of all bytes. */
const SUMMARY_MAX_ENTRIES = 128;

/** The bytes of the log that each topic, or each sender, holds, as far as this instance knows. */
export class Holders {
  /** The quota: the most bytes that one topic, or one sender, may hold. */
  readonly limitBytes: number;
  /** The sums of the summaries in the store, from all instances. */
  #told: ReadonlyMap<string, number> = new Map();
  /** This instance's summaries that are not complete in the store; the last one grows. */
  #own: HeavyHitters[] = [new HeavyHitters(SUMMARY_MAX_ENTRIES)];
  /** Messages that wait to be stored. */
  readonly #waiting = new Map<string, number>();

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  hasRoom(name: string, bytes: number): boolean {
    return this.held(name) + bytes <= this.limitBytes;
  }

  held(name: string): number {
    let bytes = (this.#told.get(name) ?? 0) + (this.#waiting.get(name) ?? 0);
    for (const summary of this.#own) bytes += summary.of(name);
    return bytes;
  }

  /** Counts bytes of messages that wait to be stored. A negative number takes them off again. */
  wait(name: string, bytes: number): void {
    const sum = (this.#waiting.get(name) ?? 0) + bytes;
    if (sum > 0) this.#waiting.set(name, sum);
    else this.#waiting.delete(name);
  }

  store(name: string, bytes: number): void {
    this.#own.at(-1)!.add(name, bytes);
  }

  /** Begins a new summary. */
  beginSummary(): void {
    this.#own.push(new HeavyHitters(SUMMARY_MAX_ENTRIES));
  }

  /** The entries of one of this instance's summaries; 0 is the oldest. */
  summary(index: number): readonly Holding[] {
    return this.#own[index]!.heaviest();
  }

  /** Takes over the sums from the store, which replace the oldest of this instance's summaries. */
  learn(told: ReadonlyMap<string, number>, ownToldSummaries: number): void {
    this.#told = told;
    this.#own.splice(0, ownToldSummaries);
  }
}
