import type { Readable } from 'node:stream';
import { Problem } from '../../model/problem.ts';
import type { Hold } from '../../runtime/sharing/budget.ts';
import { ownCopy } from '../../runtime/memory.ts';

/**
 * How much of a body that is too large is read and thrown away before it is refused. Stops refusals from getting lost: a connection
 * that is closed with bytes unread is reset, and its sender often never sees the answer.
 */
const DISCARDED_MAX_BYTES = 8 * 1024 * 1024;

/**
 * Reads the body of a request that is refused for its head, and throws it away.
 * @param declared The Content-Length, if there is one.
 * @param limit The largest body that would be taken, in bytes.
 * @returns Whether the body was read to its end. It resolves when the refusal may be written: early, if the body is too long to read.
 */
export function discardBody(stream: Readable, declared: number | undefined, limit: number): Promise<boolean> {
  const most = limit + DISCARDED_MAX_BYTES;
  if (declared !== undefined && declared > most) return Promise.resolve(false);
  return new Promise((resolve) => {
    let received = 0;
    const settle = (isWhole: boolean): void => {
      stream.off('data', onData).off('end', onEnd).off('error', onLeft).off('close', onLeft);
      resolve(isWhole);
    };
    const onData = (chunk: Buffer): void => {
      received += chunk.length;
      if (received > most) settle(false);
    };
    const onEnd = (): void => settle(true);
    const onLeft = (): void => settle(false);
    stream.on('data', onData).on('end', onEnd).on('error', onLeft).on('close', onLeft);
  });
}

export interface BodyOptions {
  /** The Content-Length, if there is one. */
  readonly declared: number | undefined;
  /** The largest body, in bytes. */
  readonly limit: number;
  /** The setting that says so, if one does. */
  readonly setting?: string | undefined;
  /** The body's share of the memory for bodies. It grows as the body arrives, and may be taken back until the body is whole. The reader of the body releases it. */
  readonly hold: Hold;
}

/**
 * Collects the body of a request in memory, within bounds. When there is no room, the client with the most memory loses its newest body. If no client has more than the others,
 * a body without progress is evicted.
 * @returns The body, in memory of its own that holds nothing else.
 * @throws Problem `too-large` or `overloaded`; `invalid-request` when the sender left before the end. Then nothing is held.
 */
export function collectBody(stream: Readable, { declared, limit, setting, hold }: BodyOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const body = new Growing(Math.min(declared ?? limit, limit));
    let received = 0;
    let refusal: Problem | undefined;

    const refuse = (problem: Problem): void => {
      refusal ??= problem;
      body.clear();
      hold.release();
    };
    const settle = (problem: Problem | undefined): void => {
      stream.off('data', onData).off('end', onEnd).off('error', onLeft).off('close', onLeft);
      if (problem === undefined) {
        const whole = body.take();
        hold.pin();
        hold.shrinkTo(whole.length);
        resolve(whole);
      } else {
        refuse(problem);
        reject(problem);
      }
    };
    hold.loosen({ takeBack: () => settle(tooMany()) });
    const onData = (chunk: Buffer): void => {
      received += chunk.length;
      if (refusal === undefined) {
        if (received > limit) refuse(bodyTooLarge(limit, setting));
        // Counts the reserved memory, and not only the bytes that have come.
        else if (!hold.grow(body.growthFor(chunk))) refuse(tooMany());
        else body.add(chunk);
      }
      if (received > limit + DISCARDED_MAX_BYTES) settle(refusal);
    };
    const onEnd = (): void => settle(refusal);
    const onLeft = (): void => settle(new Problem('invalid-request', 'The request ended before its body did.'));

    stream.on('data', onData).on('end', onEnd).on('error', onLeft).on('close', onLeft);
  });
}

/** The body of a request as bytes; one without a body has the empty text. */
export function bodyOf({ body }: { readonly body: unknown }): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

/** Nothing of the request was carried out. */
export function tooMany(): Problem {
  return new Problem('overloaded', 'Too many requests are arriving at once. Nothing was stored.');
}

export function bodyTooLarge(limit: number, setting: string | undefined): Problem {
  return new Problem('too-large', `The body is larger than ${limit} bytes${setting === undefined ? '' : `, which is what ${setting} allows`}.`);
}

/** The smallest memory that a body of more than one piece gets: stops a copy for each of its first pieces. */
const FIRST_CAPACITY_BYTES = 64 * 1024;

/**
 * Bytes that arrive in pieces. They are copied into one buffer rather than kept as they are: of a body that comes a byte
 * at a time, the objects around the pieces would take a hundred times its size.
 */
class Growing {
  readonly #expected: number;
  #bytes: Buffer = Buffer.alloc(0);
  length = 0;

  constructor(expected: number) {
    this.#expected = expected;
  }

  /** How much more memory it holds with this piece, in bytes. */
  growthFor(piece: Buffer): number {
    return this.#capacityFor(piece) - this.#bytes.length;
  }

  add(piece: Buffer): void {
    const length = this.length + piece.length;
    if (this.length === 0) {
      this.#bytes = piece;
    } else {
      if (length > this.#bytes.length) {
        const grown = Buffer.allocUnsafeSlow(this.#capacityFor(piece));
        this.#bytes.copy(grown, 0, 0, this.length);
        this.#bytes = grown;
      }
      piece.copy(this.#bytes, this.length);
    }
    this.length = length;
  }

  #capacityFor(piece: Buffer): number {
    const length = this.length + piece.length;
    if (this.length === 0 || length <= this.#bytes.length) return Math.max(length, this.#bytes.length);
    return Math.max(length, Math.min(Math.max(2 * length, FIRST_CAPACITY_BYTES), this.#expected));
  }

  clear(): void {
    this.#bytes = Buffer.alloc(0);
    this.length = 0;
  }

  take(): Buffer {
    if (this.length === this.#bytes.length) return this.#bytes;
    return ownCopy(this.#bytes.subarray(0, this.length));
  }
}
