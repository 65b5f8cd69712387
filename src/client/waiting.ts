/** The first wait after a failure, and the longest. Milliseconds. */
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;

/** The timeout of a connection without a byte: two heartbeats of the service (25 s each), and 10 s. Milliseconds. */
export const STALE_AFTER_MS = 60_000;
/** The timeout of the first frame. The service sends it at once; if it takes longer, a proxy buffers the stream. Milliseconds. */
export const FIRST_FRAME_MAX_MS = 10_000;

/**
 * The pause before the next attempt, in milliseconds. It doubles with each failure up to 30 s, and is at least `error.retryAfter`. Jitter takes away up to half, so that clients that failed
 * together do not retry together. For example, after the third failure: 2 to 4 s.
 */
export function pauseAfter(failures: number, error?: unknown): number {
  const { retryAfter = 0 } = Object(error) as { readonly retryAfter?: number };
  return Math.max(Math.min(BACKOFF_MS * 2 ** (failures - 1), BACKOFF_MAX_MS) * (0.5 + Math.random() / 2), retryAfter);
}

/** Resolves (never rejects) after this time in milliseconds, or as soon as the signal is aborted. */
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
