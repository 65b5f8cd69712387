/** Time as the spine sees it, handed in so that a test can drive it. */
export interface Clock {
  /** Milliseconds that only ever grow; what they count from means nothing. */
  monotonic(): number;
  /** Runs `task` after so many milliseconds, without keeping the process alive for it. */
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
