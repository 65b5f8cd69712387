/**
 * Counts bytes by name in bounded memory: a Misra-Gries summary. If there are too many names, it subtracts the same number from all counts, and forgets names without a rest.
 * So large names stay. A count is too small by at most the sum of all added bytes divided by `most` + 1.
 */
export class HeavyHitters {
  readonly #most: number;
  #bytes = new Map<string, number>();

  /** @param most How many names are left when some are forgotten; twice as many are held. */
  constructor(most: number) {
    this.#most = most;
  }

  of(name: string): number {
    return this.#bytes.get(name) ?? 0;
  }

  add(name: string, bytes: number): void {
    this.#bytes.set(name, this.of(name) + bytes);
    if (this.#bytes.size > 2 * this.#most) this.#forget();
  }

  /** Names and their bytes, `most` of them at the most. */
  heaviest(): [name: string, bytes: number][] {
    this.#forget();
    return [...this.#bytes];
  }

  #forget(): void {
    const taken = [...this.#bytes.values()].sort((one, other) => other - one)[this.#most];
    if (taken === undefined) return;
    this.#bytes = new Map([...this.#bytes].filter(([, bytes]) => bytes > taken).map(([name, bytes]) => [name, bytes - taken]));
  }
}
