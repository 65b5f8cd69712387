import type { ConnectOptions } from './api.ts';
import { onReturn } from './environment.ts';
import type { Attempt, EventStream, EventStreamDependencies } from './stream.ts';
import type { StreamSource } from './stream-source.ts';
import { FIRST_FRAME_MAX_MS, STALE_AFTER_MS } from './waiting.ts';

/**
 * Enforces two timeouts of an attempt. Without a byte for `staleAfter`, the attempt ends. Without a first frame for `firstFrameMs`, the stream also falls back to long polls.
 * @returns A function that stops the timers.
 */
export function watch(dependencies: EventStreamDependencies, attempt: Attempt, stream: EventStream): () => void {
  const { options: { staleAfter = STALE_AFTER_MS, fallback }, isWatching, firstFrameMs = FIRST_FRAME_MAX_MS } = dependencies;
  const silence = setInterval(() => {
    if (Date.now() - attempt.heard > staleAfter) attempt.end.abort();
  }, staleAfter / 4);
  const first = setTimeout(() => {
    if (fallback === 'none' || isWatching || stream.state === 'open') return;
    stream.fallback ??= polling(dependencies, stream);
    attempt.end.abort();
  }, firstFrameMs);
  return () => {
    clearInterval(silence);
    clearTimeout(first);
  };
}

/** Long polls, until an event stream arrives unbuffered. */
function polling(dependencies: EventStreamDependencies, stream: EventStream): StreamSource {
  return {
    read: async (taker, topics, signal) => {
      const stop = watch(dependencies, stream.attempt, stream);
      try {
        const { longPoll } = await import('./long-poll.ts');
        await longPoll({ ...dependencies, taker, topics, signal });
        stream.fallback = undefined;
        return undefined;
      } finally {
        stop();
      }
    },
    leave: () => undefined,
  };
}

/**
 * Restarts the stream when the page becomes visible or its network changes: unless the stream is open, and had a byte within half of `staleAfter`.
 * @returns A function that removes the listeners.
 */
export function lookOnReturn(stream: EventStream, { staleAfter = STALE_AFTER_MS }: ConnectOptions): () => void {
  return onReturn((isOnline) => {
    if (stream.state !== 'denied' && (isOnline || stream.state !== 'open' || Date.now() - stream.attempt.heard > staleAfter / 2)) stream.restart();
  });
}
