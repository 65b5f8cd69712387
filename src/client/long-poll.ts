import type { EventStreamDependencies } from './stream.ts';
import { takePage } from './history-pages.ts';
import type { Requests } from './requests.ts';
import type { SourceTaker } from './stream-source.ts';
import { topicQuery } from './topics.ts';
import { FIRST_FRAME_MAX_MS, STALE_AFTER_MS } from './waiting.ts';

/** The longest wait of one poll for a message. Below the idle timeouts of proxies, commonly 60 s. Seconds. */
const WAIT_MAX_SECONDS = 25;
/** The time between two trials of an event stream. A trial is a request that may hang, so they are rare. Milliseconds. */
const STREAM_AGAIN_MS = 5 * 60_000;

export interface LongPoll extends EventStreamDependencies {
  readonly taker: SourceTaker;
  readonly topics: readonly string[];
  readonly signal: AbortSignal;
}

/** Long polls in place of an event stream, and trials of one beside them. Resolves once a trial succeeds, or the signal is aborted. Rejects if a poll fails. */
export async function longPoll({ taker, topics, requests, signal, options: { staleAfter = STALE_AFTER_MS }, firstFrameMs = FIRST_FRAME_MAX_MS, streamAgainMs = STREAM_AGAIN_MS }: LongPoll): Promise<void> {
  const polling = new AbortController();
  const end = (): void => polling.abort();
  signal.addEventListener('abort', end);
  const waitSeconds = Math.max(1, Math.floor(Math.min(WAIT_MAX_SECONDS, staleAfter / 2_000)));
  let isStreaming = false;
  let trial: Promise<void> | undefined;
  let nextTrial = 0;
  try {
    // Pages without a wait come first, until the end of the log is reached.
    for (let isBehind = true; !polling.signal.aborted;) {
      isBehind = await takePage({ requests, taker, topics, signal: polling.signal, ...(isBehind ? {} : { waitSeconds }) });
      // The first trial comes at once: perhaps only the network was away.
      if (isBehind || trial !== undefined || Date.now() < nextTrial) continue;
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

/** Opens an event stream, and returns whether its first bytes arrive within `firstFrameMs`. */
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
    // Either a proxy buffers it, or the service is away: then the next poll fails.
    return false;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    end();
  }
}
