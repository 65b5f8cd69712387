import type { Tail } from '../log/tail.ts';
import type { Start } from '../model/gap.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Group } from './audience.ts';
import { busyFrame, cursorFrame, frame, gapComment, gapFrame, HEARTBEAT, openFrame, retryLine, unchunked, type Form } from './sse.ts';

/** The socket of a stream, as far as a reader needs it: `net.Socket` is one. */
export interface Outlet {
  write(bytes: Uint8Array): boolean;
  /** Bytes that the kernel has not taken yet. */
  readonly writableLength: number;
  /** Whether a `drain` will tell when it has. */
  readonly writableNeedDrain: boolean;
  /** Closes once everything written has left. */
  destroySoon(): void;
  destroy(): unknown;
}

/** What a client asked of its stream. */
export interface StreamOptions {
  readonly form: Form;
  /** Whether control events are wanted. */
  readonly control: boolean;
  /** Whether the client knows chunks: HTTP/1.1. */
  readonly chunked: boolean;
}

/** What all readers of an instance share. */
export interface Surroundings {
  readonly tail: Tail;
  readonly counters: Counters;
  readonly clock: Clock;
  /** Those whose socket is full, the longest first. */
  readonly blocked: Set<Reader>;
}

/** The frames of some messages as one buffer for each way of writing them: encoded once, shared by all who are written the same. */
export class Bundle {
  readonly messages: readonly Message[];
  readonly last: Message | undefined;
  #forms: (Buffer | undefined)[] = [];
  readonly #frame: (message: Message, form: Form) => Buffer;

  constructor(messages: readonly Message[], frameOf: (message: Message, form: Form) => Buffer = frame) {
    this.messages = messages;
    this.last = messages.at(-1);
    this.#frame = frameOf;
  }

  bytes(form: Form, chunked: boolean): Buffer {
    const way = (form === 'data' ? 0 : 1) + (chunked ? 0 : 2);
    return (this.#forms[way] ??= this.#join(form, chunked));
  }

  #join(form: Form, chunked: boolean): Buffer {
    const frames = this.messages.map((message) => {
      const whole = this.#frame(message, form);
      return chunked ? whole : unchunked(whole);
    });
    return frames.length === 1 ? frames[0]! : Buffer.concat(frames);
  }
}

/**
 * A cursor, a filter, and a socket. A reader is in one of three states:
 *
 * - live: it has been written everything up to the end of the tail, or to its cursor if that is further; new messages are
 *   written to it as they come (fanout.ts);
 * - behind: it has been written everything up to its cursor, and is read on for from there (catchup.ts);
 * - blocked, which is behind with a socket that is full: nothing is written to it before it drains. So what it costs is
 *   bounded, however slow it is (invariant 5): the socket holds at most one write, which has a bound of its own.
 *
 * Everything a stream ever sends passes through `#write`, control events too: so the order on the socket is the order
 * of the calls (invariant 4), and the position in a control event is true at that place of the stream.
 */
export class Reader {
  readonly group: Group;
  readonly #outlet: Outlet;
  readonly #around: Surroundings;
  readonly #form: Form;
  readonly #control: boolean;
  readonly #chunked: boolean;
  /** While behind: where it is. While live: a number below which it must not be written to again. */
  #epoch: string;
  #seq: number;
  /** The number in the last id that was sent. */
  #sent: number;
  #beats = 0;
  live = false;
  /** When its socket was found full, by the monotonic clock; undefined while it is not. */
  blockedSince: number | undefined = undefined;
  closed = false;
  /** With which others its heartbeat comes (streams.ts). */
  slot = 0;

  constructor(group: Group, options: StreamOptions, outlet: Outlet, at: Position, around: Surroundings) {
    this.group = group;
    this.#form = options.form;
    this.#control = options.control;
    this.#chunked = options.chunked;
    this.#outlet = outlet;
    this.#around = around;
    this.#epoch = at.epoch;
    this.#seq = at.seq;
    this.#sent = at.seq;
  }

  get isBlocked(): boolean {
    return this.blockedSince !== undefined;
  }

  /** The number up to which it must not be written to again. */
  get seq(): number {
    return this.#seq;
  }

  /**
   * Where the stream is: everything up to here that it wants has been written to its socket. True only while nothing
   * waits for its group (`Group.isWaiting`).
   *
   * @param end Where those are who were written everything.
   */
  position(end: Position = this.#around.tail.position): Position {
    return this.live && end.seq >= this.#seq ? end : { epoch: this.#epoch, seq: this.#seq };
  }

  /** Moves the cursor of a reader that is behind, after what lies before it was written. */
  moveTo({ epoch, seq }: Position): void {
    this.#epoch = epoch;
    this.#seq = seq;
  }

  /** Stops being live, at the place it has reached: it must have been written everything that its group was, up to `end`. */
  fallBehind(end?: Position): void {
    if (!this.live) return;
    this.moveTo(this.position(end));
    this.live = false;
  }

  /** Writes messages that lie behind the cursor, and nothing if there are none. */
  deliver(bundle: Bundle): void {
    if (bundle.last === undefined) return;
    this.#write(bundle.bytes(this.#form, this.#chunked));
    this.#sent = bundle.last.seq;
    this.#around.counters.delivered += bundle.messages.length;
  }

  /** The stream's first words. */
  open({ at, gap }: Start, retryMs: number): void {
    if (this.#control) this.#say(openFrame(gap === undefined ? at : undefined, retryMs));
    else this.#say(retryLine(retryMs));
    if (gap !== undefined) this.gap({ at, gap });
  }

  /** Says that something may be missing, and goes on from `at`. */
  gap({ at, gap }: Start): void {
    if (gap !== undefined) {
      this.#say(this.#control ? gapFrame(at, gap) : gapComment(gap));
      this.#around.counters.gaps++;
    }
    this.moveTo(at);
    this.#sent = at.seq;
  }

  /**
   * A sign of life: where the log has moved on without a message for this stream, the cursor, which keeps its replay short and
   * inside the retention; and in any case every second time, so that a page can notice a dead connection.
   */
  beat(): void {
    if (this.isBlocked || this.closed) return;
    // Messages are about to be written to it, and its place lies before them: a comment says nothing of places.
    if (this.live && this.group.isWaiting) return this.#say(HEARTBEAT);
    const at = this.position();
    this.#beats++;
    if (this.#control && (at.seq !== this.#sent || this.#beats % 2 === 0)) {
      this.#say(cursorFrame(at));
      this.#sent = at.seq;
    } else this.#say(HEARTBEAT);
  }

  /** Sends the client away: it comes back after `retryMs`. Its connection is to be closed a little later (streams.ts). */
  dismiss(retryMs: number): void {
    if (this.closed) return;
    this.#say(this.#control ? busyFrame(retryMs) : retryLine(retryMs));
    this.closed = true;
    this.live = false;
  }

  /** Closes the connection behind what was written, without the last chunk: some clients take a clean end for "finished" and never come back. */
  destroySoon(): void {
    this.#outlet.destroySoon();
  }

  /** Ends a stream whose socket no longer takes anything. */
  abort(): void {
    this.closed = true;
    this.live = false;
    this.#outlet.destroy();
  }

  #say(chunk: Buffer): void {
    this.#write(this.#chunked ? chunk : unchunked(chunk));
  }

  #write(bytes: Buffer): void {
    this.#outlet.write(bytes);
    this.#around.counters.deliveredBytes += bytes.length;
    // A large write returns false even where the kernel took it all; only what is left over means that the socket is full.
    if (this.blockedSince === undefined && this.#outlet.writableLength > 0 && this.#outlet.writableNeedDrain) {
      this.blockedSince = this.#around.clock.monotonic();
      this.#around.blocked.add(this);
    }
  }
}
