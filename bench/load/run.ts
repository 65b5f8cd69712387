import type { Counts } from './histogram.ts';
import type { Names } from './protocol.ts';

/** One `publish` or `flood`, as the processes that take part in it tell each other of it. */
export interface Run {
  readonly number: number;
  /** What the times in markers count from, in milliseconds of `now()`. */
  readonly base: number;
  readonly topics: Names;
  /** Of a message's data. */
  readonly bytes: number;
  /** Whether each topic's messages were published after each other; otherwise the streams have to agree on an order. */
  readonly inOrder: boolean;
  /** The share of the streams that stops reading. */
  readonly slow: number;
  readonly quietMs: number;
}

/** What came of the publishing. */
export interface Outcome {
  readonly scheduled: number;
  readonly accepted: number;
  readonly refused: number;
  readonly reasons: Readonly<Record<string, number>>;
  /** For each topic: how many were due. */
  readonly sent: Int32Array;
  /** Those that were not accepted, as pairs of topic and number. Whether they were stored all the same is unknown. */
  readonly unaccepted: Int32Array;
  /** When the first was due, and when the last answer came, in milliseconds of `now()`. */
  readonly from: number;
  readonly to: number;
  readonly answer: Counts;
  readonly lateness: Counts;
  readonly cpuMs: number;
}

/** What came of it on the streams of one process. */
export interface Findings {
  readonly expected: number;
  readonly delivered: number;
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
  readonly unasked: number;
  readonly ended: number;
  readonly gaps: number;
  readonly latency: Counts;
  readonly slow: number;
  readonly slowLatency: Counts;
  /** Of the last event, in milliseconds of `now()`; 0 if there was none. */
  readonly lastAt: number;
  readonly caughtUpAt: number | undefined;
  /** CPU time until the last event. */
  readonly cpuMs: number;
}
