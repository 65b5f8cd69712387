import type { Readable } from 'node:stream';
import { Problem } from '../../model/problem.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { ANYBODY, FairShares, type Holder, type Share } from '../../runtime/fair-shares.ts';
import { ownCopy } from '../../runtime/memory.ts';

/** Stops bodies that are still arriving, over all connections, from taking all the memory. */
const ARRIVING_MAX_BYTES = 128 * 1024 * 1024;

/**
 * So much of a body that is too large is read and thrown away before it is refused. Stops refusals from getting lost: a connection
 * that is closed with bytes unread is reset, and its sender often never sees the answer.
 */
const DISCARDED_MAX_BYTES = 8 * 1024 * 1024;

/**
 * Reads the body of a request that is refused for its head, and throws it away.
 * @param declared The Content-Length, if there is one.
 * @param limit The largest body that would be taken, in bytes.
 * @returns Resolves when the refusal may be written, with whether the body was read to its end. Too long for that, it resolves early.
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

export interface BodyCollectorDependencies {
  readonly counters: Pick<Counters, 'evicted'>;
  readonly clock: Pick<Clock, 'monotonic'>;
}

/**
 * Collects the bodies of requests in memory, within bounds. When there is no room, the client that holds most loses the newest of its bodies; then one that has stopped coming
 * makes room.
 */
export class BodyCollector {
  /** Bytes that have arrived of bodies that are not whole. */
  readonly #arriving: FairShares;

  constructor({ counters, clock }: BodyCollectorDependencies) {
    this.#arriving = new FairShares({ gate: 'bodies', counters, clock });
  }

  /**
   * @param declared The Content-Length, if there is one.
   * @param limit The largest body, in bytes.
   * @param holder Who sends it.
   * @returns The body, in memory of its own that holds nothing else.
   * @throws Problem `too-large` or `overloaded`; `invalid-request` when the sender left before the end.
   */
  collect(stream: Readable, declared: number | undefined, limit: number, holder: Holder = ANYBODY): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const body = new Growing(Math.min(declared ?? limit, limit));
      let received = 0;
      let refusal: Problem | undefined;
      let share: Share | undefined;

      const settle = (problem: Problem | undefined): void => {
        stream.off('data', onData).off('end', onEnd).off('error', onLeft).off('close', onLeft);
        share?.release();
        if (problem === undefined) resolve(body.take());
        else reject(problem);
      };
      const onData = (chunk: Buffer): void => {
        received += chunk.length;
        if (refusal === undefined) {
          if (received > limit) refusal = tooLarge(limit);
          else if (!this.#hasRoom(chunk.length, holder)) refusal = tooMany();
          else {
            if (share === undefined) share = this.#arriving.hold(holder, chunk.length, { takeBack: () => settle(tooMany()) });
            else share.grow(chunk.length);
            body.add(chunk);
            return;
          }
          share?.release();
          body.clear();
        }
        if (received > limit + DISCARDED_MAX_BYTES) settle(refusal);
      };
      const onEnd = (): void => settle(refusal);
      const onLeft = (): void => settle(new Problem('invalid-request', 'The request ended before its body did.'));

      stream.on('data', onData).on('end', onEnd).on('error', onLeft).on('close', onLeft);
    });
  }

  #hasRoom(bytes: number, holder: Holder): boolean {
    while (this.#arriving.total + bytes > ARRIVING_MAX_BYTES) if (!this.#arriving.makeRoom(holder, bytes)) return false;
    return true;
  }
}

function tooMany(): Problem {
  return new Problem('overloaded', 'Too many requests are arriving at once. Nothing was stored.');
}

function tooLarge(limit: number): Problem {
  return new Problem('too-large', `The body is larger than ${limit} bytes.`);
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

  add(piece: Buffer): void {
    const length = this.length + piece.length;
    if (this.length === 0) {
      this.#bytes = piece;
    } else {
      if (length > this.#bytes.length) {
        const grown = Buffer.allocUnsafeSlow(Math.max(length, Math.min(Math.max(2 * length, FIRST_CAPACITY_BYTES), this.#expected)));
        this.#bytes.copy(grown, 0, 0, this.length);
        this.#bytes = grown;
      }
      piece.copy(this.#bytes, this.length);
    }
    this.length = length;
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
