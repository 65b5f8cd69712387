import type { Position } from '../../model/position.ts';
import { cursorFrame, HEARTBEAT, type ControlWriter } from '../frames/sse.ts';

/** The part of a stream that heartbeats use. */
export interface Beating {
  heartbeatSlot: number;
  beat(): void;
}

/**
 * Heartbeats of all streams, spread out in time. Each stream is in one slot, and each tick serves one slot. The number of slots is the heartbeat interval in ticks. So
 * heartbeats never come in a burst, not even after thousands of streams were opened at once.
 *
 * Example with an interval of 250 ticks: a stream that opens at tick 10 gets a slot from 135 to 259 (modulo 250). So its first heartbeat comes after at least half an interval.
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
  /** The stream's position. */
  readonly at: Position;
  /** The number in the last id that was written to the stream. */
  readonly sentSeq: number;
  /** The number of this heartbeat, from 1 on. */
  readonly beats: number;
}

/**
 * Returns the frame of a heartbeat. It is `$cursor` if the log has grown without a message for this stream: the client's cursor stays inside the retention, and its replay
 * short. It is `$cursor` every second time in any case, so that a page can notice a dead connection. Otherwise it is a comment.
 */
export function heartbeatFrame({ control, at, sentSeq, beats }: HeartbeatState, write?: ControlWriter): Buffer {
  return control && (at.seq !== sentSeq || beats % 2 === 0) ? cursorFrame(at, write) : HEARTBEAT;
}
