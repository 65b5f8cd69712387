import type { Position } from '../model/position.ts';

/**
 * The place of one stream in the log, and whether the stream is live.
 *
 * - Not live: everything up to the cursor has been written.
 * - Live: everything that its group was written has been written, and everything up to the cursor, which may lie further. Nothing up to the cursor may be written again.
 */
export class StreamCursor {
  #epoch: string;
  #seq: number;
  #isLive = false;

  constructor({ epoch, seq }: Position) {
    this.#epoch = epoch;
    this.#seq = seq;
  }

  get seq(): number {
    return this.#seq;
  }

  get isLive(): boolean {
    return this.#isLive;
  }

  /** @param end How far the group of the stream has been written. It counts only while the stream is live. */
  position(end: Position): Position {
    return this.#isLive && end.seq >= this.#seq ? end : { epoch: this.#epoch, seq: this.#seq };
  }

  moveTo({ epoch, seq }: Position): void {
    this.#epoch = epoch;
    this.#seq = seq;
  }

  /** Moves on to a later place; an earlier one changes nothing. */
  advanceTo(at: Position): void {
    if (at.seq > this.#seq) this.moveTo(at);
  }

  goLive(): void {
    this.#isLive = true;
  }

  /** Ends being live at the place that the stream has reached. */
  fallBehind(end: Position): void {
    this.moveTo(this.position(end));
    this.#isLive = false;
  }

  /** Ends being live where nobody knows how far the group has been written: the cursor stays. */
  stop(): void {
    this.#isLive = false;
  }
}
