/**
 * Which jobs a worker has begun, as one number in memory that the worker and the main thread share. The worker claims each job before it touches the
 * database. The main thread gives up jobs of a silent worker. Each job is either claimed or given up, so a job that was given up is never performed:
 *
 * | step | number |
 * |---|---|
 * | the worker claims job 4, and hangs | 4 |
 * | the main thread gives up all jobs up to 6: `giveUp` returns 4, so 4 has begun, 5 and 6 have not | 6 |
 * | the worker goes on, and claims job 5: the number is not 4, so the claim fails | 6 |
 * | job 7 comes: the claim succeeds, because the number is 6 | 7 |
 */
export class JobClaims {
  /** The memory, for the constructor in the other thread. */
  readonly shared: SharedArrayBuffer;
  /** The last job that was claimed or given up. Jobs have consecutive ids and are claimed in this order. */
  readonly #last: BigInt64Array;

  constructor(shared = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#last = new BigInt64Array(shared);
  }

  /** Called by the worker. Returns whether it may perform the job. */
  claim(id: number): boolean {
    const before = BigInt(id - 1);
    return Atomics.compareExchange(this.#last, 0, before, BigInt(id)) === before;
  }

  /** Called by the main thread. Gives up every job up to `id` that has not begun. Returns the last job that has begun, or was given up before. */
  giveUp(id: number): number {
    return Number(Atomics.exchange(this.#last, 0, BigInt(id)));
  }
}
