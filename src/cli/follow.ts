import type { Gap } from '../client/api.ts';
import { frames, type Frame } from '../client/frames.ts';
import { TidingsError, type Requests } from '../client/requests.ts';
import { topicQuery } from '../client/topics.ts';
import { pause, pauseAfter } from '../client/waiting.ts';
import { answerIn, CommandError, reasonOf, say } from './outcome.ts';

/** After this time without a byte the connection is dead. Twice the heartbeat of the service, and some time more. */
const STALE_AFTER_MS = 60_000;
/** The first reconnection time; the service says its own. */
const RETRY_MS = 1_000;

/** How long the first frame may take before people are told. The service sends it at once. Milliseconds. */
const FIRST_FRAME_MAX_MS = 10_000;
const HELD_BACK = 'Nothing of the stream has come for ten seconds: something on the way may hold it back. Run tidings doctor to find it.';

/** A message, with its data as it was published. */
export interface Received {
  readonly id: string;
  readonly topic: string;
  readonly event: string;
  /** RFC 3339. */
  readonly time: string;
  /** JSON. Numbers stand in it as they were published, however long they are. */
  readonly data: string;
  /** The whole message as JSON. */
  readonly source: string;
}

/** Takes what the stream brings, one after the other: nothing more is read before a promise has resolved. */
export interface Follower {
  message(message: Received): Promise<void>;
  /** All messages up to this place were handed over. */
  moved(cursor: string): void;
  gap?(gap: Gap): void;
  presence?(source: string): Promise<void>;
}

export interface FollowOptions {
  readonly topics: readonly string[];
  /** Where it begins; only one of them. */
  readonly start: Readonly<Partial<Record<'after' | 'since' | 'last', string>>>;
  readonly withPresence?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Follows topics until the signal is aborted. It comes back after any end from the place that it has reached. A follower that is slow leaves the connection unread: the service reads on
 * from the log when it is read again.
 * @throws TidingsError The service refuses it.
 */
export async function follow(requests: Requests, follower: Follower, { topics, start, withPresence = false, signal }: FollowOptions): Promise<void> {
  let cursor = start.after;
  let retryMs = RETRY_MS;
  let failures = 0;
  let isTroubled = false;
  let isHeldBackTold = false;
  let first: NodeJS.Timeout | undefined;

  const take = async ({ event, data, id }: Frame): Promise<void> => {
    clearTimeout(first);
    if (event === '$gap') follower.gap?.(answerIn<Gap>(data));
    else if (event === '$presence') await follower.presence?.(data);
    else if (!event.startsWith('$')) await follower.message(received(data));
    if (id === undefined || signal.aborted) return;
    cursor = id;
    if (event.startsWith('$')) follower.moved(id);
    failures = 0;
    isTroubled = false;
  };

  while (!signal.aborted) {
    const attempt = new AbortController();
    const query = topicQuery(topics);
    for (const [name, value] of Object.entries(cursor === undefined ? start : { after: cursor })) query.set(name, value);
    if (withPresence) query.set('presence', '1');
    let wait: number;
    // A service that is frozen takes the connection, and says nothing.
    const silence = setTimeout(() => attempt.abort(), STALE_AFTER_MS);
    first = setTimeout(() => {
      if (!isHeldBackTold) say(HELD_BACK);
      isHeldBackTold = true;
    }, FIRST_FRAME_MAX_MS);
    try {
      const { body } = await requests.send(`/events?${query.toString()}`, { signal: AbortSignal.any([signal, attempt.signal]) }).finally(() => clearTimeout(silence));
      if (body === null) throw new CommandError('The service says that this client must not come back.');
      await takeAll(body, { take, retry: (milliseconds) => {
        retryMs = milliseconds;
      } }, { attempt, signal });
      wait = retryMs;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof TidingsError || error instanceof CommandError) throw error;
      if (!attempt.signal.aborted && !isTroubled) say(`${reasonOf(error)} Trying again.`);
      isTroubled = true;
      wait = pauseAfter(++failures, error);
    } finally {
      clearTimeout(first);
    }
    await pause(wait, signal);
  }
}

interface Taker {
  readonly take: (frame: Frame) => Promise<void>;
  readonly retry: (milliseconds: number) => void;
}

/** Reads a stream to its end. A break is no mistake: another attempt follows. */
async function takeAll(body: ReadableStream<Uint8Array>, { take, retry }: Taker, { attempt, signal }: { readonly attempt: AbortController; readonly signal: AbortSignal }): Promise<void> {
  const waiting: Frame[] = [];
  const push = frames({ frame: (frame) => waiting.push(frame), retry });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      // While the follower is busy nothing is read: that is no silence.
      const silence = setTimeout(() => attempt.abort(), STALE_AFTER_MS);
      const read = await reader.read().catch(() => undefined).finally(() => clearTimeout(silence));
      if (read === undefined || read.done) return;
      push(decoder.decode(read.value, { stream: true }));
      for (const frame of waiting.splice(0)) {
        if (signal.aborted) return;
        await take(frame);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Stands before the data in a message of the service, which is its last member. Inside a string its quotes would be escaped. */
const DATA = ',"data":';

function received(source: string): Received {
  const { id, topic, event, time } = answerIn<Omit<Received, 'data' | 'source'>>(source);
  return { id, topic, event, time, data: source.slice(source.indexOf(DATA) + DATA.length, source.lastIndexOf('}')), source };
}
