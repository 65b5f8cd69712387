/**
 * The answers on one publishing connection, several after each other when requests were pipelined: their status, and where each ends
 * (RFC 9112, section 6). No strings are made of what is usual.
 */
export class Answers {
  readonly #answered: (status: number) => void;
  /** The beginning of a head that has not all come. */
  #held: Buffer | undefined;
  #status = 0;
  /** Bytes of the body, or of its current chunk with its line end, that are still to come. */
  #left = 0;
  #chunked = false;

  constructor(answered: (status: number) => void) {
    this.#answered = answered;
  }

  /** Throws where what comes is no answer. */
  read(received: Buffer): void {
    const bytes = this.#held === undefined ? received : Buffer.concat([this.#held, received]);
    this.#held = undefined;
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#left -= taken;
        at += taken;
        if (this.#left === 0 && !this.#chunked) this.#answered(this.#status);
        continue;
      }
      const next = this.#chunked ? this.#readChunkLine(bytes, at) : this.#readHead(bytes, at);
      if (next === -1) {
        if (bytes.length - at > HELD_MAX) throw new Error('the head of an answer has no end');
        this.#held = Buffer.from(bytes.subarray(at));
        return;
      }
      at = next;
    }
  }

  /** Where the head ends; -1 if it is not all there. */
  #readHead(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(BLANK_LINE, from);
    if (end === -1) return -1;
    this.#status = (bytes[from + 9]! - 48) * 100 + (bytes[from + 10]! - 48) * 10 + bytes[from + 11]! - 48;
    if (!(this.#status >= 100 && this.#status <= 599)) throw new Error(`not an answer: ${bytes.toString('latin1', from, Math.min(end, from + 40))}`);
    const body = end + BLANK_LINE.length;
    if (this.#status < 200) return body;
    const digits = this.#findLength(bytes, from, end);
    if (digits === -1) this.#chunked = /\r\ntransfer-encoding:[ \t]*chunked/i.test(bytes.toString('latin1', from, end));
    else for (let at = digits; bytes[at]! >= 48 && bytes[at]! <= 57; at++) this.#left = this.#left * 10 + bytes[at]! - 48;
    if (this.#left === 0 && !this.#chunked) this.#answered(this.#status);
    return body;
  }

  /** Where the digits of the length stand; -1 if there are none. */
  #findLength(bytes: Buffer, from: number, end: number): number {
    for (const spelling of SPELLINGS) {
      const at = bytes.indexOf(spelling, from);
      if (at === -1 || at >= end) continue;
      // A server keeps to its spelling: the other one is searched for only once.
      if (spelling !== SPELLINGS[0]) SPELLINGS.reverse();
      return at + spelling.length;
    }
    return -1;
  }

  #readChunkLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(10, from);
    if (end === -1) return -1;
    const size = Number.parseInt(bytes.toString('latin1', from, end), 16);
    if (Number.isNaN(size)) throw new Error('not a chunk');
    if (size > 0) {
      this.#left = size + 2;
      return end + 1;
    }
    // The last chunk; trailers are not known to any of the servers.
    if (bytes.length < end + 3) return -1;
    this.#chunked = false;
    this.#answered(this.#status);
    return end + 3;
  }
}

const BLANK_LINE = Buffer.from('\r\n\r\n');
const SPELLINGS = ['\r\nContent-Length: ', '\r\ncontent-length: '].map((spelling) => Buffer.from(spelling));
/** Stops a server that is none from filling the memory. */
const HELD_MAX = 64 * 1024;
