/**
 * The jobs that a worker has begun, in memory shared with the main thread. The worker claims each job before it touches the database, and the main thread abandons
 * jobs that wait too long. Only one of the two gets a job, so an abandoned job is never performed.
 */
export class JobClaims {
  /** Handed to the other thread. */
  readonly shared: SharedArrayBuffer;
  /** The last job that was claimed or given up. Jobs have consecutive ids, and are claimed in their order. */
  readonly #last: BigInt64Array;

  constructor(shared = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#last = new BigInt64Array(shared);
  }

  /** Whether the worker may perform a job. */
  claim(id: number): boolean {
    const before = BigInt(id - 1);
    return Atomics.compareExchange(this.#last, 0, before, BigInt(id)) === before;
  }

  /** Gives up every job up to `id` that has not begun. Returns the last job that has begun, or was given up before. */
  giveUp(id: number): number {
    return Number(Atomics.exchange(this.#last, 0, BigInt(id)));
  }
}
