/** The first wait after a failure, and the longest. Milliseconds. */
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;

/** After this time without a byte the connection is dead. Twice the heartbeat of the service, and some time more. Milliseconds. */
export const STALE_AFTER_MS = 60_000;
/** How long the first frame may take. The service sends it at once; after this time, something on the way holds it back. Milliseconds. */
export const FIRST_FRAME_MAX_MS = 10_000;

/**
 * How long to wait before the next attempt: twice as long after each failure, and at least as long as the service asked for. It is spread, so that clients that failed together do not
 * come back together. Milliseconds.
 */
export function pauseAfter(failures: number, error?: unknown): number {
  const { retryAfter = 0 } = Object(error) as { readonly retryAfter?: number };
  return Math.max(Math.min(BACKOFF_MS * 2 ** (failures - 1), BACKOFF_MAX_MS) * (0.5 + Math.random() / 2), retryAfter);
}

/** Resolves after this time in milliseconds, or as soon as the signal is aborted. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, signal.aborted ? 0 : milliseconds);
    signal.addEventListener('abort', end);
  });
}
