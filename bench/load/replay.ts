import { now } from './clock.ts';
import type { Origin, Sink } from './events.ts';
import { Gaps } from './gaps.ts';
import { Histogram, type Counts } from './histogram.ts';
import type { ReadOptions } from './protocol.ts';
import { Streams, type Part } from './streams.ts';

/** What came of reading old messages on the streams of one process. */
export interface Replayed {
  readonly streams: number;
  readonly failed: number;
  readonly events: number;
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
  readonly gaps: number;
  readonly first: Counts;
  readonly caughtUp: Counts;
  /** Of the last event, since the first stream was asked for, in milliseconds. */
  readonly lastMs: number;
  readonly cpuMs: number;
}

const LOOK_MS = 20;
const QUIET_MS = 3000;
const [LF, E, COLON, ZERO, NINE, DASH] = [10, 101, 58, 48, 57, 45];
const BLANK_LINE = Buffer.from('\n\n');
const CONTROL = Buffer.from('event: $');

/** Where a stream of a replay is. */
interface Progress {
  next: number;
  came: number;
}

/** Old messages, known by their ids: `<epoch>-<number>`, the last line of each event. */
class Replay implements Sink {
  readonly #expected: number;
  readonly #contiguous: boolean;
  readonly #progress = new Map<number, Progress>();
  readonly #gaps = new Gaps();
  readonly first = new Histogram();
  readonly caughtUp = new Histogram();
  count = 0;
  doubled = 0;
  reordered = 0;
  gaps = 0;
  lastAt = 0;
  done = 0;

  constructor(expected: number, contiguous: boolean) {
    this.#expected = expected;
    this.#contiguous = contiguous;
  }

  events(stream: Origin, bytes: Buffer, from: number, to: number, at: number): void {
    let progress = this.#progress.get(stream.number);
    for (let begin = from; begin < to;) {
      // Heartbeats are lines of their own, and no events.
      if (bytes[begin] === COLON) {
        begin = bytes.indexOf(LF, begin) + 1;
        continue;
      }
      const end = bytes.indexOf(BLANK_LINE, begin);
      const isControl = bytes[begin] === E && bytes.compare(CONTROL, 0, CONTROL.length, begin, Math.min(to, begin + CONTROL.length)) === 0;
      const seq = isControl ? undefined : numberBefore(bytes, end);
      begin = end + BLANK_LINE.length;
      if (seq === undefined) continue;
      if (progress === undefined) {
        this.#progress.set(stream.number, progress = { next: seq, came: 0 });
        this.first.record((at - stream.connectedAt) * 1000);
      }
      this.#take(stream, progress, seq, at);
    }
  }

  gap(): void {
    this.gaps++;
  }

  get lost(): number {
    let lost = 0;
    for (const [stream, { came }] of this.#progress) {
      const holes = this.#contiguous ? this.#gaps.missing(stream, (first, end) => end - first) : 0;
      lost += Math.max(holes, this.#expected - came);
    }
    return lost;
  }

  get begun(): number {
    return this.#progress.size;
  }

  #take(stream: Origin, progress: Progress, seq: number, at: number): void {
    this.lastAt = at;
    if (seq >= progress.next) {
      if (seq > progress.next) this.#gaps.add(stream.number, progress.next, seq);
      progress.next = seq + 1;
    } else if (this.#gaps.fill(stream.number, seq)) {
      this.reordered++;
    } else {
      this.doubled++;
      return;
    }
    this.count++;
    if (++progress.came !== this.#expected) return;
    this.done++;
    this.caughtUp.record((at - stream.connectedAt) * 1000);
  }
}

/** The digits at the end of the line that ends there, behind a dash; undefined where there are none. */
function numberBefore(bytes: Buffer, end: number): number | undefined {
  let value = 0;
  let factor = 1;
  let at = end - 1;
  for (; bytes[at]! >= ZERO && bytes[at]! <= NINE; at--) {
    value += (bytes[at]! - ZERO) * factor;
    factor *= 10;
  }
  return factor > 1 && bytes[at] === DASH ? value : undefined;
}

/** Opens a process's part of the streams, and reads until each has as much as it must get, or nothing has come for a while. */
export async function replay(options: ReadOptions, part: Part): Promise<Replayed> {
  const sink = new Replay(options.expected, options.contiguous ?? false);
  const streams = new Streams(() => undefined, () => undefined);
  streams.sink = sink;
  const cpu = process.cpuUsage();
  const started = now();
  let seen = -1;
  let used = process.cpuUsage(cpu);
  try {
    const opened = await streams.open(options, part);
    const wanted = part.count - opened.failed;
    while (sink.done < wanted) {
      if (sink.count !== seen) {
        seen = sink.count;
        used = process.cpuUsage(cpu);
      }
      if (now() - Math.max(sink.lastAt, streams.openedAt) >= (options.quietMs ?? QUIET_MS)) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    if (sink.done === wanted) used = process.cpuUsage(cpu);
    return {
      streams: wanted, failed: opened.failed, events: sink.count, lost: sink.lost + (wanted - sink.begun) * options.expected, doubled: sink.doubled, reordered: sink.reordered,
      gaps: sink.gaps, first: sink.first.counts, caughtUp: sink.caughtUp.counts, lastMs: Math.max(0, sink.lastAt - started), cpuMs: (used.user + used.system) / 1000,
    };
  } finally {
    streams.close();
  }
}
