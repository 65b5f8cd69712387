import type { EventStreamDependencies } from './stream.ts';
import { takePage } from './history-pages.ts';
import type { Requests } from './requests.ts';
import type { SourceTaker } from './stream-source.ts';
import { topicQuery } from './topics.ts';
import { FIRST_FRAME_MAX_MS, STALE_AFTER_MS } from './waiting.ts';

/** How long the service waits for a message. Below the time after which proxies cut a silent connection. Seconds. */
const WAIT_MAX_SECONDS = 25;
/** How often a stream is tried again. Each try costs one request that may hang. Milliseconds. */
const STREAM_AGAIN_MS = 5 * 60_000;

export interface LongPoll extends EventStreamDependencies {
  readonly taker: SourceTaker;
  readonly topics: readonly string[];
  readonly signal: AbortSignal;
}

/** Asks for messages in the place of a stream. Resolves once a stream comes through, or the signal is aborted; rejects where a request fails. */
export async function longPoll({ taker, topics, requests, signal, options: { staleAfter = STALE_AFTER_MS }, firstFrameMs = FIRST_FRAME_MAX_MS, streamAgainMs = STREAM_AGAIN_MS }: LongPoll): Promise<void> {
  const polling = new AbortController();
  const end = (): void => polling.abort();
  signal.addEventListener('abort', end);
  const waitSeconds = Math.max(1, Math.floor(Math.min(WAIT_MAX_SECONDS, staleAfter / 2_000)));
  let isStreaming = false;
  let trial: Promise<void> | undefined;
  let nextTrial = 0;
  try {
    for (let isLate = true; !polling.signal.aborted;) {
      isLate = await takePage({ requests, taker, topics, signal: polling.signal, ...(isLate ? {} : { waitSeconds }) });
      // The first try comes at once: perhaps it was the network that was away.
      if (isLate || trial !== undefined || Date.now() < nextTrial) continue;
      nextTrial = Date.now() + streamAgainMs;
      trial = comesThrough(requests, topics, firstFrameMs, polling.signal).then((comes) => {
        trial = undefined;
        isStreaming = comes;
        if (comes) end();
      });
    }
  } catch (error) {
    if (!isStreaming) throw error;
  } finally {
    end();
    signal.removeEventListener('abort', end);
  }
}

/** Whether a stream's first bytes arrive in time. */
async function comesThrough(requests: Requests, topics: readonly string[], firstFrameMs: number, signal: AbortSignal): Promise<boolean> {
  const trial = new AbortController();
  const end = (): void => trial.abort();
  const timer = setTimeout(end, firstFrameMs);
  signal.addEventListener('abort', end);
  try {
    const { body } = await requests.send(`/events?${topicQuery(topics).toString()}`, { signal: trial.signal });
    const read = await body?.getReader().read();
    return read?.value !== undefined;
  } catch {
    // It was held back, or the service is away: the next poll tells.
    return false;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    end();
  }
}
