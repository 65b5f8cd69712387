import { now } from './clock.ts';
import type { Sink } from './events.ts';
import { nameOf } from './names.ts';
import type { Opened, OpenOptions, Reopened, Streams as Counts } from './protocol.ts';
import { OpeningQueue } from './queue.ts';
import { Stream, type StreamHost } from './stream.ts';
import { wires } from './wires.ts';

/** A process's part of the streams that are to be opened: numbers `first`, `first + step` and so on, `count` of them. */
export interface Part {
  readonly first: number;
  readonly step: number;
  readonly count: number;
}

/** Each source address has 28,000 ports: so many that none runs short, while ports of closed connections rest. */
const ADDRESSES = 200;
/** A connection that was refused on the way back is tried again after so long. */
const RETRY_MS = 100;



/** What came of a stream's opening, told to who waits for it. */
interface Batch {
  waiting: number;
  failed: number;
  readonly reasons: Record<string, number>;
  /** Who is told that the server is busy comes back when it says, rather than having failed. */
  readonly isPatient: boolean;
  done(): void;
}

/** The streams of one process. Each is opening, open, or away: cut, or waiting to come back. */
export class Streams implements StreamHost {
  /** For what comes outside of a run. */
  static readonly nowhere: Sink = { events: () => undefined, gap: () => undefined };
  sink: Sink = Streams.nowhere;
  /** Ended by the server while they were open. */
  endedCount = 0;
  /** When the last was opened. */
  openedAt = 0;
  readonly #all = new Set<Stream>();
  /** Opened for the first time, and by whom. */
  readonly #batches = new Map<Stream, Batch>();
  readonly #away = new Set<Stream>();
  readonly #reconnectMs = new Map<Stream, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #queue = new OpeningQueue();
  /** Those that nobody but `reopen` brings back. */
  #cut: Stream[] = [];
  /** When streams were open again, each time: since the last `close`. */
  #returns: number[] = [];
  #retried = 0;
  #busyAnswers = 0;
  #waiters: (() => void)[] = [];
  readonly #changed: (isWhole: boolean) => void;
  readonly #added: (stream: Stream) => void;

  /** @param changed Streams are away, or all are back. @param added A stream is open for the first time. */
  constructor(changed: (isWhole: boolean) => void, added: (stream: Stream) => void) {
    this.#changed = changed;
    this.#added = added;
  }

  get counts(): Counts {
    let open = 0;
    for (const stream of this.#all) if (stream.isOpen) open++;
    return { open, away: this.#away.size };
  }

  /** Those that were open once. */
  get all(): readonly Stream[] {
    return [...this.#all].filter((stream) => !this.#batches.has(stream));
  }

  get isWhole(): boolean {
    return this.#away.size === 0;
  }

  async open(options: Omit<OpenOptions, 'streams'> & { topics: string | readonly string[]; after?: string; patient?: boolean }, part: Part): Promise<Opened> {
    const started = now();
    const cpu = process.cpuUsage();
    const templates = typeof options.topics === 'string' ? [options.topics] : options.topics;
    const batch: Batch = { waiting: part.count, failed: 0, reasons: {}, isPatient: options.patient ?? false, done: () => undefined };
    const done = new Promise<void>((resolve) => (batch.done = resolve));
    const streams: Stream[] = [];
    for (let index = 0; index < part.count; index++) {
      const number = part.first + index * part.step;
      const stream = new Stream({
        number,
        names: templates.map((template) => nameOf(template, number)),
        wire: wires[options.wire],
        port: options.ports[number % options.ports.length]!,
        localAddress: `127.0.0.${2 + number % ADDRESSES}`,
        after: options.after,
        member: options.members === true ? `member-${number}` : undefined,
      }, this);
      this.#batches.set(stream, batch);
      this.#all.add(stream);
      if (options.reconnectMs !== undefined) this.#reconnectMs.set(stream, options.reconnectMs);
      streams.push(stream);
    }
    this.#queue.configure(options.concurrency, options.rate);
    this.#queue.add(streams);
    if (part.count > 0) await done;
    const used = process.cpuUsage(cpu);
    const seconds = (now() - started) / 1000;
    return {
      open: this.counts.open, failed: batch.failed, reasons: batch.reasons, seconds, perSecond: (part.count - batch.failed) / seconds,
      at: this.openedAt, busy: (used.user + used.system) / 1e6 / seconds,
    };
  }

  cut(): void {
    this.#cut = [...this.#all].filter((stream) => !this.#batches.has(stream));
    for (const stream of this.#cut) {
      stream.cut();
      this.#leave(stream);
    }
    this.#queue.keep((stream) => this.#batches.has(stream));
    this.#clearTimers();
  }

  /** Brings back all that were cut. */
  async reopen(concurrency: number | undefined): Promise<Reopened> {
    this.#queue.configure(concurrency);
    this.#queue.add(this.#cut.splice(0));
    return this.whole();
  }

  /** Waits until none is away. */
  async whole(): Promise<Reopened> {
    const started = now();
    const cpu = process.cpuUsage();
    if (!this.isWhole) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    const used = process.cpuUsage(cpu);
    const seconds = (now() - started) / 1000;
    const { open } = this.counts;
    return {
      open, failed: 0, reasons: {}, seconds, perSecond: open / seconds, at: this.openedAt, busy: (used.user + used.system) / 1e6 / seconds,
      retried: this.#retried, busyAnswers: this.#busyAnswers, returns: this.#returns,
    };
  }

  close(streams: Iterable<Stream> = this.#all): void {
    for (const stream of [...streams]) {
      stream.cut();
      this.#all.delete(stream);
      this.#away.delete(stream);
    }
    this.#queue.keep((stream) => this.#all.has(stream));
    if (this.#all.size > 0) return;
    this.#clearTimers();
    this.#retried = this.#busyAnswers = 0;
    this.#returns = [];
  }

  opened(stream: Stream): void {
    this.openedAt = now();
    const batch = this.#batches.get(stream);
    if (batch !== undefined) {
      this.#batches.delete(stream);
      this.#added(stream);
      this.#count(batch);
    } else if (this.#away.delete(stream)) {
      this.#returns.push(this.openedAt);
      if (this.isWhole) {
        this.#changed(true);
        for (const resolve of this.#waiters.splice(0)) resolve();
      }
    }
    this.#queue.done(stream);
  }

  ended(stream: Stream, reason: string, retryMs: number | undefined): void {
    const batch = this.#batches.get(stream);
    if (batch?.isPatient === true && retryMs !== undefined) {
      this.#busyAnswers++;
      this.#later(stream, retryMs);
    } else if (batch !== undefined) {
      this.#batches.delete(stream);
      this.#all.delete(stream);
      batch.failed++;
      batch.reasons[reason] = (batch.reasons[reason] ?? 0) + 1;
      this.#count(batch);
    } else {
      if (retryMs !== undefined) this.#busyAnswers++;
      if (stream.isOpen) this.#lost(stream, retryMs);
      else {
        if (retryMs === undefined) this.#retried++;
        this.#later(stream, retryMs ?? RETRY_MS);
      }
    }
    this.#queue.done(stream);
  }

  #lost(stream: Stream, retryMs: number | undefined): void {
    this.endedCount++;
    const reconnectMs = this.#reconnectMs.get(stream);
    if (reconnectMs === undefined) return;
    this.#leave(stream);
    this.#later(stream, retryMs ?? reconnectMs);
  }

  #leave(stream: Stream): void {
    if (this.isWhole) this.#changed(false);
    this.#away.add(stream);
  }

  #later(stream: Stream, delay: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#all.has(stream)) return;
      this.#queue.add([stream]);
    }, delay);
    this.#timers.add(timer);
  }

  #count(batch: Batch): void {
    if (--batch.waiting === 0) batch.done();
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
