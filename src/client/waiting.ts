import { Passing } from './requests.ts';

/** The first pause after a failure, and the longest. Milliseconds. */
const PAUSE_MS = 1_000;
const PAUSE_MAX_MS = 30_000;

/**
 * How long to wait before the next attempt: twice as long after each failure, and spread, so that clients that failed together do not come back together; and as long as the service asked for.
 * Milliseconds.
 */
export function pauseAfter(failures: number, error?: unknown): number {
  return Math.max(Math.min(PAUSE_MS * 2 ** (failures - 1), PAUSE_MAX_MS) * (0.5 + Math.random() / 2), error instanceof Passing ? error.retryAfter : 0);
}

/** Resolves after so many milliseconds, or as soon as the signal is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}
