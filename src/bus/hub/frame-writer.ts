import type { Socket } from 'node:net';
import { ownCopy } from '../../runtime/memory.ts';
import { FRAME, frameOf } from './frames.ts';

/** Commits and notes that wait for one reader. Stops a reader that is slow or frozen from filling the memory. */
export const WAITING_HINTS_MAX_BYTES = 4 * 1024 * 1024;

/** Questions or answers that wait for one reader. Cuts off a reader that asks more and more without reading its answers. */
export const WAITING_TALK_MAX_BYTES = 16 * 1024 * 1024;

/** An estimate of the memory of a waiting frame besides its bytes. Lets many small frames reach the bounds above, too. */
const WAITING_OVERHEAD_BYTES = 256;

const MISSED = frameOf(FRAME.missed, Buffer.alloc(0));

/**
 * Writes frames to a socket. Frames of one turn of the event loop share a write, because each write wakes the other end. While the other end does not read, frames wait within bounds: hints beyond
 * theirs are dropped, and the other end hears that it missed some.
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

  /** Bytes that wait, with the overhead of each frame. */
  get waitingBytes(): number {
    return this.#waitingHintBytes + this.#waitingTalkBytes;
  }

  /** @param bytes Whole frames of commits or notes. @param block What holds them in memory, where that is more. */
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

  /** A question or an answer, which is not dropped: beyond the bound the connection ends. @param block What holds it in memory, where that is more. */
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

  /** Hints were dropped before they reached this end. */
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
    // A small part of a large read would hold all of it.
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
