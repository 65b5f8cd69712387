import type { Percentiles } from '../types.ts';

/**
 * An HDR histogram (http://hdrhistogram.org) of whole microseconds, to three significant figures. Node's own (`createHistogram`) can do the
 * same, but cannot leave its process, and costs a call into C++ for every value: here there are two million a second.
 */
export class Histogram {
  readonly #counts: Uint32Array;
  #max: number;

  constructor(from: Counts = { counts: new Uint32Array(LENGTH), max: 0 }) {
    this.#counts = from.counts;
    this.#max = from.max;
  }

  record(microseconds: number): void {
    const value = microseconds < 0 ? 0 : microseconds > LARGEST ? LARGEST : Math.round(microseconds);
    if (value > this.#max) this.#max = value;
    const bucket = value < SUB_BUCKETS ? 0 : LEADING - Math.clz32(value);
    // A value of a higher bucket has its leading one in the upper half of the sub-buckets: the lower half is the bucket's below.
    this.#counts[bucket * HALF + (value >> bucket)]!++;
  }

  add(other: Counts): void {
    for (let index = 0; index < LENGTH; index++) this.#counts[index]! += other.counts[index]!;
    this.#max = Math.max(this.#max, other.max);
  }

  /** What passes between processes. */
  get counts(): Counts {
    return { counts: this.#counts, max: this.#max };
  }

  get count(): number {
    let sum = 0;
    for (const count of this.#counts) sum += count;
    return sum;
  }

  /** In microseconds: the largest value that is not told apart from the one at that place. 0 if there is none. */
  percentile(percent: number): number {
    const wanted = Math.max(1, Math.ceil(this.count * percent / 100));
    let sum = 0;
    for (let index = 0; index < LENGTH; index++) {
      sum += this.#counts[index]!;
      if (sum >= wanted) return Math.min(this.#max, highest(index));
    }
    return 0;
  }

  /** In milliseconds. */
  percentiles(): Percentiles {
    const at = (percent: number): number => this.percentile(percent) / 1000;
    return { count: this.count, p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: this.#max / 1000 };
  }
}

export interface Counts {
  readonly counts: Uint32Array;
  readonly max: number;
}

/** Of all in one. */
export function percentilesOf(all: readonly Counts[]): Percentiles {
  const sum = new Histogram();
  for (const one of all) sum.add(one);
  return sum.percentiles();
}

/** A power of two above 1,000, so that the third figure is told apart, and twice that, since half of them are the bucket's below. */
const SUB_BUCKETS = 2048;
const HALF = SUB_BUCKETS / 2;
/** `clz32` of the largest value of bucket 0. */
const LEADING = Math.clz32(SUB_BUCKETS - 1);
/** 35 minutes. What is more is counted as this. */
const LARGEST = 2 ** 31 - 1;
const LENGTH = (LEADING + 1) * HALF + HALF;

/** The largest value that is counted at an index. */
function highest(index: number): number {
  const bucket = index < SUB_BUCKETS ? 0 : (index >> Math.log2(HALF)) - 1;
  return (index - bucket * HALF + 1) * 2 ** bucket - 1;
}
