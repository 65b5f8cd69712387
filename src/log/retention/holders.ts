import type { Holding } from '../../store/contracts/usage-store.ts';
import { HeavyHitters } from './heavy-hitters.ts';

/** How many names a summary has. It bounds the size of a summary, and how much a count can be too small: by 1/129 of all. */
const SUMMARY_MAX_ENTRIES = 128;

/** The bytes of the log that each topic, or each sender, holds, as far as this instance knows. */
export class Holders {
  /** The most that one may hold. */
  readonly limitBytes: number;
  /** By the summaries that the store has, this instance's own among them. */
  #told: ReadonlyMap<string, number> = new Map();
  /** The own summaries that the store may lack; the last one grows. */
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

  /** Messages wait to be stored, or, with a negative number, do not any more. */
  wait(name: string, bytes: number): void {
    const sum = (this.#waiting.get(name) ?? 0) + bytes;
    if (sum > 0) this.#waiting.set(name, sum);
    else this.#waiting.delete(name);
  }

  store(name: string, bytes: number): void {
    this.#own.at(-1)!.add(name, bytes);
  }

  /** Begins a summary. */
  beginSummary(): void {
    this.#own.push(new HeavyHitters(SUMMARY_MAX_ENTRIES));
  }

  /** The entries of one of the own summaries, counted from the oldest. */
  summary(index: number): readonly Holding[] {
    return this.#own[index]!.heaviest();
  }

  /** Takes over what the store has, in the place of the oldest of the own summaries. */
  learn(told: ReadonlyMap<string, number>, ownToldSummaries: number): void {
    this.#told = told;
    this.#own.splice(0, ownToldSummaries);
  }
}
