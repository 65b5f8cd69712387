import { connect, type Socket } from 'node:net';
import type { Scope } from './temp.ts';

/** Read at once from a socket, into memory that is used again. Bytes. */
const READ_BYTES = 256 * 1024;
/** The end of a stream that is kept: enough for the last `id:` line. Bytes. */
const KEEP = 128;

/**
 * A stream that is only counted: for so many bytes that parsing them would be the test's bottleneck. It reads its socket
 * as fast as it can, below the events and without a buffer for each read.
 */
export class ByteCounter {
  /** Everything that came over the socket, the answer's head and the chunks' framing included. */
  bytes = 0;
  closed = false;
  readonly #socket: Socket;
  readonly #end = Buffer.alloc(KEEP);
  #opened: (() => void) | undefined;

  private constructor(t: Scope, url: URL, opened: () => void) {
    this.#opened = opened;
    this.#socket = connect({
      host: url.hostname,
      port: Number(url.port),
      onread: {
        buffer: Buffer.allocUnsafe(READ_BYTES),
        callback: (length: number, buffer: Uint8Array) => {
          this.#count(buffer.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.closed = true;
    });
    this.#socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: text/event-stream\r\n\r\n`);
    t.teardown(() => this.#socket.destroy());
  }

  /** Resolves once `$open` is there. */
  static open(t: Scope, url: string): Promise<ByteCounter> {
    return new Promise((resolve) => {
      const counter: ByteCounter = new ByteCounter(t, new URL(url), () => resolve(counter));
    });
  }

  /** The id of the last event that came in whole. */
  get lastId(): string | undefined {
    return /\nid: (\S+)\n\n\r\n$/.exec(this.#end.toString('latin1'))?.[1];
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #count(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    const kept = bytes.subarray(-KEEP);
    this.#end.copyWithin(0, kept.length);
    this.#end.set(kept, KEEP - kept.length);
    if (this.#opened !== undefined && this.lastId !== undefined) {
      this.#opened();
      this.#opened = undefined;
    }
  }
}
