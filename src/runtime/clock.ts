/**
 * This room has the tools that every other room may use: time (here), copies in memory, counters and metrics, work in slices, fair shares (`sharing/`), sockets
 * (`sockets/`) and log lines (`logging/`). It imports no other room, and nothing in it depends on messages. Its users get their clock and counters as
 * dependencies, so a test or a simulation passes its own.
 *
 * Read clock.ts, then counters.ts with metrics.ts and gauges.ts, then slices.ts and in-turns.ts (long work, a few milliseconds in each turn of the event loop). The other files stand alone.
 */

/** The source of time. A test passes a clock that it moves itself. */
export interface Clock {
  /** A number of milliseconds that never decreases. Only differences have a meaning. */
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

/**
 * Waits for a promise, at most for the given milliseconds; then returns undefined. If this process was too busy to read an answer that arrived in time, it reads the
 * answer first.
 */
export async function within<Value>(clock: Clock, milliseconds: number, promise: Promise<Value>): Promise<Value | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = clock.after(milliseconds, () => clock.soon(() => late.resolve(undefined)));
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    timer.cancel();
  }
}
