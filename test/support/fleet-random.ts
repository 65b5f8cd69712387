import { randomInt } from 'node:crypto';

/** Random decisions that a seed repeats, though not the moments at which they fall. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below 1 (mulberry32, public domain). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** Another sequence, so that what one part of a test draws does not shift what the others draw. */
  fork(): Random {
    return new Random(this.below(2 ** 32));
  }
}

/** The seed of a run, printed so that it can be repeated: `SEED=… npx tap test/fleet/…`. */
export function seeded(t: { comment(text: string): unknown }): Random {
  const given = process.env['SEED'];
  const seed = given === undefined || given === '' ? randomInt(2 ** 32) : Number(given);
  if (!Number.isSafeInteger(seed)) throw new Error(`SEED is no whole number: ${given}`);
  t.comment(`SEED=${seed}`);
  return new Random(seed);
}
