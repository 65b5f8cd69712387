import type { Position } from '../../model/position.ts';
import { cursorFrame, HEARTBEAT, type ControlWriter } from '../frames/sse.ts';

/** A stream, as far as its heartbeats need it. */
export interface Beating {
  heartbeatSlot: number;
  beat(): void;
}

/**
 * Signs of life for quiet streams, spread out. There are as many slots as ticks between two heartbeats of a stream; each stream has one
 * slot, and each tick serves one. So heartbeats never come in a burst, not even after thousands of streams were opened at once.
 *
 * A stream's first heartbeat comes when at least half of the time between two of them is over: one that has just been opened needs none.
 */
export class Heartbeats<Stream extends Beating> {
  readonly #slots: Set<Stream>[];
  #added = 0;
  #tick = 0;

  constructor(ticks: number) {
    this.#slots = Array.from({ length: Math.max(1, Math.round(ticks)) }, () => new Set<Stream>());
  }

  add(stream: Stream): void {
    const ticks = this.#slots.length;
    const half = Math.floor(ticks / 2);
    stream.heartbeatSlot = (this.#tick + half + this.#added++ % (ticks - half)) % ticks;
    this.#slots[stream.heartbeatSlot]!.add(stream);
  }

  /** Returns whether the stream was there. */
  delete(stream: Stream): boolean {
    return this.#slots[stream.heartbeatSlot]!.delete(stream);
  }

  /** Serves the next slot, and returns the streams that are in it. */
  tick(): Iterable<Stream> {
    const slot = this.#slots[this.#tick++ % this.#slots.length]!;
    for (const stream of slot) stream.beat();
    return slot;
  }

  /** All streams. */
  *[Symbol.iterator](): Iterator<Stream> {
    for (const slot of this.#slots) yield* slot;
  }
}

/** The state of a stream when its heartbeat is due. */
export interface HeartbeatState {
  /** Whether the client wants control events. */
  readonly control: boolean;
  /** Where the stream is. */
  readonly at: Position;
  /** The number in the last id that it was sent. */
  readonly sentSeq: number;
  /** Counts its heartbeats, from 1 on. */
  readonly beats: number;
}

/**
 * The frame of a heartbeat. It is the cursor (`$cursor`) where the log has moved on without a message for this stream: that keeps the replay short and
 * inside the retention. It is the cursor every second time in any case, so that a page can notice a dead connection. Else it is a comment.
 */
export function heartbeatFrame({ control, at, sentSeq, beats }: HeartbeatState, write?: ControlWriter): Buffer {
  return control && (at.seq !== sentSeq || beats % 2 === 0) ? cursorFrame(at, write) : HEARTBEAT;
}
