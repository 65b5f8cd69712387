/**
 * The services of the process for the code in it: time (here), memory, counting, metrics and a logger. The room `runtime` knows nothing
 * of messages and imports no other room, so every room may use it. Its parts are handed in, and a test or a simulation hands in its own.
 */

/** Time as the spine sees it, handed in so that a test can drive it. */
export interface Clock {
  /** Milliseconds that never decrease. They count from no particular moment. */
  monotonic(): number;
  /** Runs `task` after the given milliseconds. The wait does not keep the process alive. */
  after(milliseconds: number, task: () => void): Timer;
  /** Runs `task` once this turn of the event loop is over. */
  soon(task: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  after(milliseconds, task) {
    const timeout = setTimeout(task, milliseconds);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
  soon(task) {
    setImmediate(task);
  },
};

/** Waits until `promise` settles, but no longer than the given milliseconds. Leaves no timer behind. */
export async function waitAtMost(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  const limit = Promise.withResolvers<void>();
  const timer = setTimeout(limit.resolve, milliseconds);
  try {
    await Promise.race([limit.promise, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for a promise. Returns undefined if that takes longer. An answer that has arrived counts, also where this process was too busy to read it. */
export async function within<Value>(clock: Clock, milliseconds: number, promise: Promise<Value>): Promise<Value | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = clock.after(milliseconds, () => clock.soon(() => late.resolve(undefined)));
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    timer.cancel();
  }
}
