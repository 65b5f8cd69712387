import type { Delivery, Percentiles, WireName } from '../types.ts';

/** What the load generator can be asked for, and what it answers: what passes between the benchmark and its load processes. */

/**
 * Names of topics or patterns by number: `{i}` becomes the number, `{i%1000}` its remainder. `{ name: 'bench.t{i}', count: 3 }`
 * is `bench.t0`, `bench.t1`, `bench.t2`.
 */
export interface Names {
  readonly name: string;
  readonly count: number;
}

export interface Target {
  readonly wire: WireName;
  /** On 127.0.0.1. Streams are spread evenly over all of them, publishes too. */
  readonly ports: readonly number[];
}

export interface OpenOptions extends Target {
  readonly streams: {
    readonly count: number;
    /** What stream number i asks for: topics or patterns, with `{i}` and `{i%n}` as in `Names`. Several only on Tidings. */
    readonly topics: string | readonly string[];
  };
  /** Streams opened per second; as fast as possible if absent. */
  readonly rate?: number;
  /** Connections that are being opened at once; 500 if absent. */
  readonly concurrency?: number;
  /** A stream that the server ends comes back after so long, with its last id; it stays away if absent. */
  readonly reconnectMs?: number;
  /** Each stream is a member of its own. Only on Tidings. */
  readonly members?: boolean;
}

export interface Opened {
  /** Streams that are open now. */
  readonly open: number;
  /** Streams that could not be opened, by reason. */
  readonly failed: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly perSecond: number;
  /** Of a moment as `now()` of clock.ts gives it, in milliseconds: when the last of them was open. */
  readonly at: number;
  /** CPU time of all load processes by the time that it took: near 1, the figure is theirs and not the server's. */
  readonly busy: number;
}

export interface PublishOptions extends Target {
  /** Messages a second, on a schedule that waits for nothing. */
  readonly rate: number;
  readonly seconds: number;
  /** Of a message's data, a JSON string: at least `DATA_BYTES_MIN` of wires.ts. */
  readonly bytes: number;
  /** Each in turn. */
  readonly topics: Names;
  /**
   * If absent, one for each topic, but 16 at most, and each topic keeps to one of them; so messages of a topic are expected in the order in which they were
   * published. With more connections than topics, all streams must agree on some order.
   */
  readonly connections?: number;
  /** Messages of one request (NDJSON, Tidings only); 1 if absent. */
  readonly batch?: number;
  /** So long nothing may have come before what is still missing is given up; 3,000 if absent. */
  readonly quietMs?: number;
  /** This share of all streams stops reading when it begins, and reads on when all others have everything. */
  readonly slow?: number;
}

export interface Delivered extends Delivery {
  /** Events on streams that had not asked for them. */
  readonly unasked: number;
  /** Streams that ended meanwhile though nobody cut them. */
  readonly ended: number;
  /** `$gap` events of Tidings. */
  readonly gaps: number;
  /** When streams were away meanwhile: the moment (`now()` of clock.ts) at which all of them were back and had what was due before that. */
  readonly caughtUpAt?: number;
  /** Apart from the others: how late the messages of slow streams were. Their losses and doubles are in the sums above. */
  readonly slow?: { readonly streams: number; readonly latency: Percentiles };
  /** Why publishes were refused: by status, and by what broke a connection. */
  readonly reasons: Readonly<Record<string, number>>;
  /** How much later than on schedule the load process itself was. */
  readonly sent: Percentiles;
}

export interface FloodOptions extends Target {
  /** Each sends its next request when its last one was answered. */
  readonly connections: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly topics: Names;
  /** Messages of one request: NDJSON if it is given, one message by itself if not. */
  readonly batch?: number;
  /** An `Idempotency-Key` with every request. */
  readonly key?: boolean;
  readonly quietMs?: number;
}

export interface Flooded {
  /** Messages. */
  readonly accepted: number;
  readonly refused: number;
  readonly perSecond: number;
  /** From the request to its answer. */
  readonly answer: Percentiles;
  /** By status, and by what broke a connection. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly busy: number;
  /** What open streams got of it; undefined where there was none. */
  readonly delivery?: Delivered;
}

export interface ReadOptions extends Target {
  /** Streams that read the same. */
  readonly count: number;
  readonly topics: string | readonly string[];
  /** An id, or `start`. */
  readonly after: string;
  /** Messages that each of them must get. */
  readonly expected: number;
  /** The numbers of the ids must follow each other without a hole: the topics are all that there are. */
  readonly contiguous?: boolean;
  /** Streams that get `$busy` come back when it says; without it they have failed. */
  readonly patient?: boolean;
  readonly quietMs?: number;
}

export interface ReadResult {
  /** Streams that could not be opened. */
  readonly failed: number;
  readonly events: number;
  readonly perSecond: number;
  /** Until the last of them had everything. */
  readonly seconds: number;
  /** Until each had its first event. */
  readonly first: Percentiles;
  /** Until each had everything. */
  readonly caughtUp: Percentiles;
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
  readonly gaps: number;
  readonly busy: number;
}

export interface ReopenOptions {
  /** Since they were cut. */
  readonly afterMs: number;
  /** Connections that are being opened at once; 500 if absent. */
  readonly concurrency?: number;
}

export interface Reopened extends Opened {
  /** Connections that were refused and tried again. */
  readonly retried: number;
  /** `$busy` answers of Tidings, whose `retry:` was kept to. */
  readonly busyAnswers: number;
  /** The moments (`now()` of clock.ts) at which streams that had been away were open again, since the first was opened. */
  readonly returns: readonly number[];
}

export interface Streams {
  readonly open: number;
  /** Cut, ended, or on the way back. */
  readonly away: number;
}
