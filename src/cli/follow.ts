import type { Gap } from '../client/api.ts';
import { frames, type Frame } from '../client/frames.ts';
import { TidingsError, type Requests } from '../client/requests.ts';
import { topicQuery } from '../client/topics.ts';
import { pause, pauseAfter } from '../client/waiting.ts';
import { answerIn, CommandError, reasonOf, say } from './outcome.ts';

/** The timeout of a connection without a byte: two heartbeats of the service (25 s each), and 10 s. */
const STALE_AFTER_MS = 60_000;
/** The reconnection time before the service sends one (`retry:`). */
const RETRY_MS = 1_000;

/** If no frame has come for this time, print `HELD_BACK`. The service sends the first frame at once. Milliseconds. */
const FIRST_FRAME_MAX_MS = 10_000;
const HELD_BACK = 'Nothing of the stream has come for ten seconds: something on the way may hold it back. Run tidings doctor to find it.';

/** A message, with its data as it was published. */
export interface Received {
  readonly id: string;
  readonly topic: string;
  readonly event: string;
  /** RFC 3339. */
  readonly time: string;
  /** JSON, byte for byte as published: long numbers keep their digits. */
  readonly data: string;
  /** The whole message as JSON. */
  readonly source: string;
}

/** Takes the stream's events one after the other. `follow` reads nothing more before a promise has resolved (backpressure). */
export interface Follower {
  message(message: Received): Promise<void>;
  /** The cursor has moved without a message: `message` has had all messages up to it. */
  moved(cursor: string): void;
  gap?(gap: Gap): void;
  presence?(source: string): Promise<void>;
}

export interface FollowOptions {
  readonly topics: readonly string[];
  /** Where it begins: one of these, or none, which is the head. */
  readonly start: Readonly<Partial<Record<'after' | 'since' | 'last', string>>>;
  readonly withPresence?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Follows topics until the signal is aborted. After any end of the stream it reconnects, and resumes at its cursor. While the follower is slow, the connection stays unread, and the service
 * waits for it.
 * @throws TidingsError if the service refuses the stream
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
    // The kernel of a frozen service still accepts connections, and no answer comes.
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

/** Reads a stream to its end. A broken connection is an ordinary end: the caller reconnects. */
async function takeAll(body: ReadableStream<Uint8Array>, { take, retry }: Taker, { attempt, signal }: { readonly attempt: AbortController; readonly signal: AbortSignal }): Promise<void> {
  const waiting: Frame[] = [];
  const push = frames({ frame: (frame) => waiting.push(frame), retry });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      // The timeout covers only the read: a busy follower is no silence of the service.
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

/** The text before the data. `data` is the last member of a message, and inside a string the quotes would be escaped. So its first occurrence is the right one. */
const DATA = ',"data":';

function received(source: string): Received {
  const { id, topic, event, time } = answerIn<Omit<Received, 'data' | 'source'>>(source);
  return { id, topic, event, time, data: source.slice(source.indexOf(DATA) + DATA.length, source.lastIndexOf('}')), source };
}
