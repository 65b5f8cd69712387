/**
 * What the spine counts as it goes: plain numbers, so that counting costs nothing on the fan-out path. The metrics
 * route reads them when it is asked.
 */
export class Counters {
  /** Messages that this instance stored. */
  published = 0;
  /** Requests answered from an idempotency key. */
  replayed = 0;
  /** Publish requests that failed, by the code of their problem. */
  readonly refused = new Map<string, number>();
  /** Messages written to streams of this instance, once for each stream. */
  delivered = 0;
  /** Bytes handed to sockets of streams, framing included. */
  deliveredBytes = 0;
  /** Streams opened and closed since the start. */
  opened = 0;
  closed = 0;
  /** Streams refused with `$busy`. */
  busy = 0;
  /** Streams closed because their socket did not drain for STALL_SECONDS. */
  stalled = 0;
  /** `$gap` events written. */
  gaps = 0;
  /** Times that a live reader fell behind because its socket was full. */
  fellBehind = 0;
  /** Messages the tail had to read from the log because the bus did not bring them. */
  filled = 0;
  /** Reads of the log for readers that are behind, the readers served by them, and the rows the database looked at. */
  reads = 0;
  readsServed = 0;
  rowsExamined = 0;
  /** Commits, the messages in them, and the time they took, in milliseconds. */
  readonly commitMessages: Histogram = new Histogram([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]);
  readonly commitMilliseconds: Histogram = new Histogram([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]);
  /** Messages and keys that retention deleted. */
  trimmed = 0;
  trimmedKeys = 0;

  refuse(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }
}

/** Counts of values up to each bound, the last for everything above; with their sum. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const index = this.bounds.findIndex((bound) => value <= bound);
    const at = index === -1 ? this.bounds.length : index;
    this.counts[at] = this.counts[at]! + 1;
    this.sum += value;
  }
}
