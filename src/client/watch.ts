import type { ConnectOptions } from './api.ts';
import { onReturn } from './environment.ts';
import type { Attempt, EventStream, EventStreamDependencies } from './stream.ts';
import type { StreamSource } from './stream-source.ts';
import { FIRST_FRAME_MAX_MS, STALE_AFTER_MS } from './waiting.ts';

/** Ends an attempt that has become silent, or whose first frame does not come: then the stream polls. @returns Ends it. */
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

/** Asks for messages until a stream comes through. */
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

/** A page is back. It connects anew if its network changed, no connection is open, or the open one was silent for half of `staleAfter`. @returns A function that ends it. */
export function lookOnReturn(stream: EventStream, { staleAfter = STALE_AFTER_MS }: ConnectOptions): () => void {
  return onReturn((isOnline) => {
    if (stream.state !== 'denied' && (isOnline || stream.state !== 'open' || Date.now() - stream.attempt.heard > staleAfter / 2)) stream.restart();
  });
}
