import { Passing } from './problem.ts';
import { isRefusal, type Requests } from './requests.ts';
import type { SourceTaker, StreamSource } from './stream-source.ts';
import type { SourceDependencies } from './stream.ts';
import { topicQuery } from './topics.ts';
import { FIRST_FRAME_MAX_MS, pause } from './waiting.ts';
import { watch } from './watch.ts';

/** A stream as a WebSocket. The library loads this module with the first of them. */

/** The reconnection time before the service says its own. Milliseconds. */
const RETRY_MS = 1_000;
/** How long an event stream takes the place of a WebSocket that was held back. Each try may hang. Milliseconds. */
const SOCKET_AGAIN_MS = 5 * 60_000;

/** A message, or an event about the stream. */
interface SocketFrame {
  readonly id?: string;
  readonly topic?: string;
  readonly event: string;
  readonly retryMs?: number;
  readonly data: unknown;
}

/** The source that a stream has over WebSockets. */
export function webSocket(dependencies: SourceDependencies): StreamSource {
  const { options: { as, meta }, isWatching, stream } = dependencies;
  let nextTry = 0;
  return {
    async read(taker, topics, signal) {
      if (Date.now() < nextTry) return 'here';
      const { attempt } = stream;
      // The first frame is waited for here: an event stream comes before polls.
      const stop = watch({ ...dependencies, options: { ...dependencies.options, fallback: 'none' } }, attempt, stream);
      const query = topicQuery(topics);
      for (const [name, value] of Object.entries({ as, meta: meta && JSON.stringify(meta), ...(isWatching ? { presence: '1' } : { lastEventId: taker.cursor }) })) if (value !== undefined) query.set(name, value);
      let wait: number | SocketFailure;
      try {
        wait = await readSocket({ ...dependencies, query, topics, taker, signal });
      } finally {
        stop();
        // The next stream asks for the changed topics anyway.
        attempt.handle = undefined;
      }
      if (wait === 'held') nextTry = Date.now() + SOCKET_AGAIN_MS;
      // Where no WebSocket comes through, an event stream may.
      if (typeof wait === 'string') return 'here';
      await pause(wait, signal);
      return undefined;
    },
    leave: () => undefined,
  };
}

interface SocketReading extends SourceDependencies {
  /** The parameters of the stream. */
  readonly query: URLSearchParams;
  readonly topics: readonly string[];
  readonly taker: SourceTaker;
  readonly signal: AbortSignal;
}

/** `blocked`: the service answers, but WebSockets do not come through, or the page may open none. `held`: nothing comes through for so long that something on the way holds it back. */
type SocketFailure = 'blocked' | 'held';

/**
 * Reads until the WebSocket ends.
 * @returns When to come back, in milliseconds.
 */
async function readSocket({ requests, options: { getToken }, query, topics, taker, signal, firstFrameMs = FIRST_FRAME_MAX_MS }: SocketReading): Promise<number | SocketFailure> {
  const ticket = getToken === undefined ? undefined : await ticketFor(requests, topics, signal);
  if (ticket !== undefined) query.set('ticket', ticket);
  const url = new URL(`${requests.url}/events?${query.toString()}`, (globalThis as { readonly location?: { readonly href: string } }).location?.href);
  url.protocol = url.protocol.replace('http', 'ws');
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<number | SocketFailure | undefined>();
  let socket: WebSocket;
  try {
    socket = new WebSocket(url);
  } catch {
    // The policy of the page forbids WebSockets, or this environment has none.
    return 'blocked';
  }
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', abort);
  let retry = RETRY_MS;
  let hasOpened = false;
  const first = setTimeout(() => {
    if (!hasOpened) resolve('held');
  }, firstFrameMs);
  socket.onmessage = ({ data }) => {
    hasOpened = true;
    taker.heard();
    if (signal.aborted) return;
    try {
      const frame = JSON.parse(String(data)) as SocketFrame;
      retry = frame.retryMs ?? retry;
      if (frame.topic === undefined) taker.take(frame.event, frame.data, frame.id);
      else taker.take('message', frame, frame.id);
    } catch (error) {
      reject(error);
    }
  };
  socket.onclose = () => resolve(hasOpened ? retry : undefined);
  try {
    const wait = await promise;
    if (wait !== undefined) return wait;
    // Browsers do not tell why a handshake failed. This says it, if the service refuses the topics, or cannot be reached.
    await requests.send(`/cursor?${topicQuery(topics).toString()}`, { signal });
    return 'blocked';
  } finally {
    clearTimeout(first);
    signal.removeEventListener('abort', abort);
    socket.onmessage = null;
    socket.close();
  }
}

/** A browser's WebSocket can send no header. Returns undefined where none is needed: the service looks at no credential. */
async function ticketFor(requests: Requests, topics: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  try {
    const answer = await requests.send('/tickets', { method: 'POST', body: JSON.stringify({ topics }), signal });
    const { ticket } = await answer.json() as { readonly ticket?: unknown };
    if (typeof ticket !== 'string') throw new Passing(undefined);
    return ticket;
  } catch (error) {
    if (!isRefusal(error) || error.status !== 401) throw error;
    // Then nothing else is refused for its credential either.
    await requests.send(`/cursor?${topicQuery(topics).toString()}`, { signal });
    return undefined;
  }
}
