import type { Socket } from 'node:net';
import { ownCopy } from '../../runtime/memory.ts';
import { FRAME, frameOf } from './frames.ts';

/** The most bytes of commits and notes that wait for one connection; later ones are dropped. Stops a slow or frozen reader from filling the memory. */
export const WAITING_HINTS_MAX_BYTES = 4 * 1024 * 1024;

/** The most bytes of questions and answers that wait for one connection; above it the connection ends. Stops a client that asks without reading the answers from filling the memory. */
export const WAITING_TALK_MAX_BYTES = 16 * 1024 * 1024;

/** An estimate of the memory of a waiting frame besides its bytes, so that many small frames reach the bounds too. */
const WAITING_OVERHEAD_BYTES = 256;

const MISSED = frameOf(FRAME.missed, Buffer.alloc(0));

/**
 * Writes frames to a socket. Frames of one turn of the event loop share a write, because each write wakes the other process. Under backpressure, frames wait within bounds. Hints above their
 * bound are dropped, and then the other end gets a frame `missed`.
 */
export class FrameWriter {
  readonly #socket: Socket;
  #waiting: Buffer[] = [];
  #waitingHintBytes = 0;
  #waitingTalkBytes = 0;
  #owesMissed = false;
  #isGathering = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#flush());
  }

  /** The bytes of waiting frames, with their overhead. */
  get waitingBytes(): number {
    return this.#waitingHintBytes + this.#waitingTalkBytes;
  }

  /** Writes commits or notes, or drops them. @param bytes Whole frames. @param block The larger buffer that `bytes` is a slice of. */
  hint(bytes: Buffer, block: Uint8Array = bytes): void {
    if (this.#socket.destroyed) return;
    if (!this.#mustWait) {
      this.#write(bytes);
      return;
    }
    const cost = bytes.length + WAITING_OVERHEAD_BYTES;
    if (this.#waitingHintBytes + cost > WAITING_HINTS_MAX_BYTES) {
      this.#owesMissed = true;
      return;
    }
    this.#waitingHintBytes += cost;
    this.#wait(bytes, block);
  }

  /** Writes a frame that is never dropped: above the bound the connection ends. @param block As for `hint`. */
  talk(frame: Buffer, block: Uint8Array = frame): void {
    if (this.#socket.destroyed) return;
    if (!this.#mustWait) {
      this.#write(frame);
      return;
    }
    this.#waitingTalkBytes += frame.length + WAITING_OVERHEAD_BYTES;
    if (this.#waitingTalkBytes > WAITING_TALK_MAX_BYTES) this.#socket.destroy(new Error('the other end does not read its frames'));
    else this.#wait(frame, block);
  }

  /** Sends `missed`: hints were dropped before they reached this process. */
  missed(): void {
    this.#owesMissed = true;
    if (!this.#mustWait) this.#flush();
  }

  get #mustWait(): boolean {
    return this.#waiting.length > 0 || this.#socket.writableNeedDrain;
  }

  #write(bytes: Buffer): void {
    if (!this.#isGathering) {
      this.#isGathering = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#isGathering = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  #wait(bytes: Buffer, block: Uint8Array): void {
    // Copy a small slice: it would keep the whole read in memory.
    this.#waiting.push(2 * bytes.length < block.length ? ownCopy(bytes) : bytes);
  }

  #flush(): void {
    if (this.#socket.destroyed) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingHintBytes = 0;
    this.#waitingTalkBytes = 0;
    this.#socket.cork();
    for (const frame of waiting) this.#socket.write(frame);
    if (this.#owesMissed) this.#socket.write(MISSED);
    this.#owesMissed = false;
    this.#socket.uncork();
  }
}
