/**
 * What was skipped, as ranges of numbers, for many sequences at once. A number that comes after all came late if it lies in a range,
 * and came twice if not. Costs nothing for a sequence without holes.
 */
export class Gaps {
  /** Pairs of first and end (exclusive), in ascending order. */
  readonly #ranges = new Map<number, number[]>();
  /** Of sequences with more holes than are kept: the end of the oldest that was dropped, and how many numbers those had. */
  readonly #dropped = new Map<number, { end: number; numbers: number }>();

  add(sequence: number, first: number, end: number): void {
    const ranges = this.#ranges.get(sequence);
    if (ranges === undefined) {
      this.#ranges.set(sequence, [first, end]);
      return;
    }
    ranges.push(first, end);
    if (ranges.length > 2 * RANGES_MAX) this.#drop(sequence, ranges);
  }

  /** Whether the number was missing; it is no more. */
  fill(sequence: number, number: number): boolean {
    const ranges = this.#ranges.get(sequence) ?? [];
    for (let at = ranges.length - 2; at >= 0; at -= 2) {
      const first = ranges[at]!;
      const end = ranges[at + 1]!;
      if (number >= end) break;
      if (number < first) continue;
      const left = [first, number, number + 1, end];
      ranges.splice(at, 2, ...number > first ? left.slice(0, 2) : [], ...number + 1 < end ? left.slice(2) : []);
      return true;
    }
    const dropped = this.#dropped.get(sequence);
    if (dropped === undefined || number >= dropped.end || dropped.numbers === 0) return false;
    dropped.numbers--;
    return true;
  }

  /** How many are missing of those that count. @param counting How many of a range of numbers count. */
  missing(sequence: number, counting: (first: number, end: number) => number): number {
    let sum = 0;
    const ranges = this.#ranges.get(sequence) ?? [];
    for (let at = 0; at < ranges.length; at += 2) sum += counting(ranges[at]!, ranges[at + 1]!);
    const dropped = this.#dropped.get(sequence);
    // Which they were is not known any more: whatever does not count is taken to be among them.
    if (dropped !== undefined) sum += Math.max(0, dropped.numbers - (dropped.end - counting(0, dropped.end)));
    return sum;
  }

  #drop(sequence: number, ranges: number[]): void {
    const [first, end] = ranges.splice(0, 2) as [number, number];
    const dropped = this.#dropped.get(sequence) ?? { end: 0, numbers: 0 };
    this.#dropped.set(sequence, { end, numbers: dropped.numbers + end - first });
  }
}

/** Holes of one sequence that are kept apart: stops a server that refuses or loses much from filling the memory of ten thousand streams. */
const RANGES_MAX = 64;
