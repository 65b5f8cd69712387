import type { Start } from '../model/gap.ts';
import type { Filter } from '../model/topic.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Audience } from './audience.ts';
import type { Catchup } from './catchup.ts';
import type { Fanout } from './fanout.ts';
import { Reader, type Outlet, type StreamOptions, type Surroundings } from './reader.ts';
import { busyFrame, retryLine, unchunked } from './sse.ts';

/** How often the streams are looked after: the grain of heartbeats, of stalls, and of the drain. Milliseconds. */
const TICK_MS = 100;
/** The part of the drain window in which streams are closed; the rest is for the last of them to leave. */
const DRAIN_SHARE = 0.9;

/** A connection that has said its last words. */
interface Leaving {
  destroySoon(): void;
}

export interface StreamSettings {
  readonly maxStreams: number;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/**
 * The open streams of this instance: how many there may be, their heartbeats, and their end.
 *
 * One timer serves all. The streams are spread over as many slots as there are ticks in a heartbeat's interval, and each
 * tick sees to one slot: so heartbeats never come in a burst, also after thousands of streams were opened at once.
 */
export class Streams {
  readonly #audience: Audience;
  readonly #fanout: Fanout;
  readonly #catchup: Catchup;
  readonly #around: Surroundings;
  readonly #clock: Clock;
  readonly #settings: StreamSettings;
  readonly #slots: Set<Reader>[];
  #nextSlot = 0;
  #open = 0;
  #tick = 0;
  #timer: Timer | undefined;
  /**
   * Connections that were sent `$busy` since the last tick, and those of the tick before, which are closed at the next one. When a
   * connection ends without the last chunk, Chromium throws away what its page has not read yet: closed at once behind it, up to a
   * third of all `$busy` never arrived, and with them the time to come back. How long they stay bounds how many there are.
   */
  #leaving: Leaving[] = [];
  #leavingNext: Leaving[] = [];
  #drain: { readonly until: number; readonly done: () => void } | undefined;

  constructor(options: { audience: Audience; fanout: Fanout; catchup: Catchup; around: Surroundings; settings: StreamSettings }) {
    this.#audience = options.audience;
    this.#fanout = options.fanout;
    this.#catchup = options.catchup;
    this.#around = options.around;
    this.#clock = options.around.clock;
    this.#settings = options.settings;
    this.#slots = Array.from({ length: Math.max(1, Math.round(options.settings.heartbeatMs / TICK_MS)) }, () => new Set<Reader>());
    this.#schedule();
  }

  get open(): number {
    return this.#open;
  }

  /** Readers that are not live, and how many numbers the furthest of them is behind the tail. */
  get behind(): { readonly readers: number; readonly furthest: number } {
    let readers = 0;
    let furthest = 0;
    for (const reader of this.#all()) {
      if (reader.live) continue;
      readers++;
      furthest = Math.max(furthest, this.#around.tail.last - reader.seq);
    }
    return { readers, furthest };
  }

  get isFull(): boolean {
    return this.#drain !== undefined || this.open >= this.#settings.maxStreams;
  }

  /** The reconnection time for one client: spread, so that those who were cut together do not come back together. Milliseconds. */
  retryMs(): number {
    const { retryMinMs, retryMaxMs } = this.#settings;
    return Math.round(retryMinMs + Math.random() * (retryMaxMs - retryMinMs));
  }

  /** Begins a stream on a socket whose response head was flushed. Call `drained` and `closed` when the socket says so. */
  start(filter: Filter, options: StreamOptions, outlet: Outlet, start: Start): Reader {
    const group = this.#audience.join(filter);
    const reader = new Reader(group, options, outlet, start.at, this.#around);
    group.readers.add(reader);
    reader.slot = this.#nextSlot++ % this.#slots.length;
    this.#slots[reader.slot]!.add(reader);
    this.#open++;
    this.#around.counters.opened++;
    reader.open(start, this.retryMs());
    this.#catchup.resume(reader);
    return reader;
  }

  /** Refuses a stream without an error status, which would end a browser's EventSource for good. */
  refuse(options: StreamOptions, outlet: Outlet): void {
    const retry = this.retryMs();
    const frame = options.control ? busyFrame(retry) : retryLine(retry);
    outlet.write(options.chunked ? frame : unchunked(frame));
    this.#around.counters.busy++;
    this.#leavingNext.push(outlet);
  }

  /** The socket has room again. */
  drained(reader: Reader): void {
    if (!reader.isBlocked) return;
    reader.blockedSince = undefined;
    this.#around.blocked.delete(reader);
    this.#catchup.resume(reader);
  }

  /** The socket is gone. */
  closed(reader: Reader): void {
    if (!this.#slots[reader.slot]!.delete(reader)) return;
    this.#open--;
    reader.closed = true;
    reader.live = false;
    this.#around.blocked.delete(reader);
    reader.group.readers.delete(reader);
    this.#catchup.forget(reader);
    this.#audience.leave(reader.group);
    this.#around.counters.closed++;
    this.#finishDrain();
  }

  /** Closes all streams, evenly over the window, each with a reconnection time of its own; takes no new ones. */
  drain(windowMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drain = { until: this.#clock.monotonic() + windowMs * DRAIN_SHARE, done: resolve };
    if (windowMs === 0) this.#dismissSome();
    this.#finishDrain();
    return promise;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#closeLeaving();
    this.#closeLeaving();
    for (const reader of this.#all()) reader.abort();
  }

  *#all(): Iterable<Reader> {
    for (const slot of this.#slots) yield* slot;
  }

  #schedule(): void {
    this.#timer = this.#clock.after(TICK_MS, () => {
      this.#schedule();
      this.#lookAfter();
    });
  }

  #lookAfter(): void {
    for (const reader of this.#slots[this.#tick++ % this.#slots.length]!) reader.beat();
    this.#closeStalled();
    this.#closeLeaving();
    if (this.#drain !== undefined) this.#dismissSome();
  }

  #closeLeaving(): void {
    for (const outlet of this.#leaving) outlet.destroySoon();
    this.#leaving = this.#leavingNext;
    this.#leavingNext = [];
  }

  #closeStalled(): void {
    const limit = this.#clock.monotonic() - this.#settings.stallMs;
    for (const reader of this.#around.blocked) {
      // They stand in the order in which they were found full.
      if (reader.blockedSince! > limit) break;
      this.#around.counters.stalled++;
      this.#around.blocked.delete(reader);
      reader.abort();
    }
  }

  #dismissSome(): void {
    const left = this.#drain!.until - this.#clock.monotonic();
    const open = [...this.#all()].filter((reader) => !reader.closed);
    const ticks = Math.max(1, Math.ceil(left / TICK_MS));
    // Invariant 4: nothing overtakes a message.
    this.#fanout.flush();
    for (const reader of open.slice(0, Math.ceil(open.length / ticks))) {
      reader.dismiss(this.retryMs());
      this.#leavingNext.push(reader);
    }
  }

  #finishDrain(): void {
    if (this.#drain !== undefined && this.open === 0) this.#drain.done();
  }
}
