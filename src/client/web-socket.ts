import { Passing } from './problem.ts';
import { isRefusal, type Requests } from './requests.ts';
import type { SourceTaker, StreamSource } from './stream-source.ts';
import type { SourceDependencies } from './stream.ts';
import { topicQuery } from './topics.ts';
import { FIRST_FRAME_MAX_MS, pause } from './waiting.ts';
import { watch } from './watch.ts';

/** A stream over a WebSocket: `transport: 'websocket'`. The library loads this module with the first one. */

/** The reconnection time before the service sends one (`retryMs`). Milliseconds. */
const RETRY_MS = 1_000;
/** After a WebSocket that was held back: how long event streams are used before the next WebSocket. An attempt may hang, so they are rare. Milliseconds. */
const SOCKET_AGAIN_MS = 5 * 60_000;

/** A message, which has a `topic`, or a control event, which has none. */
interface SocketFrame {
  readonly id?: string;
  readonly topic?: string;
  readonly event: string;
  readonly retryMs?: number;
  readonly data: unknown;
}

/** The `StreamSource` that reads WebSockets. */
export function webSocket(dependencies: SourceDependencies): StreamSource {
  const { options: { as, meta }, isWatching, stream } = dependencies;
  let nextTry = 0;
  return {
    async read(taker, topics, signal) {
      if (Date.now() < nextTry) return 'here';
      const { attempt } = stream;
      // `readSocket` has its own timeout for the first frame: after it comes an event stream, not long polls. So no fallback here.
      const stop = watch({ ...dependencies, options: { ...dependencies.options, fallback: 'none' } }, attempt, stream);
      const query = topicQuery(topics);
      for (const [name, value] of Object.entries({ as, meta: meta && JSON.stringify(meta), ...(isWatching ? { presence: '1' } : { lastEventId: taker.cursor }) })) if (value !== undefined) query.set(name, value);
      let wait: number | SocketFailure;
      try {
        wait = await readSocket({ ...dependencies, query, topics, taker, signal });
      } finally {
        stop();
        // From here on the topics cannot be changed: the next attempt requests the topics wanted then.
        attempt.handle = undefined;
      }
      if (wait === 'held') nextTry = Date.now() + SOCKET_AGAIN_MS;
      // `blocked` and `held` concern WebSockets only: an event stream may still arrive.
      if (typeof wait === 'string') return 'here';
      await pause(wait, signal);
      return undefined;
    },
    leave: () => undefined,
  };
}

interface SocketReading extends SourceDependencies {
  /** The query of the stream's URL. */
  readonly query: URLSearchParams;
  readonly topics: readonly string[];
  readonly taker: SourceTaker;
  readonly signal: AbortSignal;
}

/** `blocked`: the handshake failed although the service answers, or the page may open no WebSocket. `held`: no frame came within `firstFrameMs`, so a proxy holds it back. */
type SocketFailure = 'blocked' | 'held';

/**
 * Reads a WebSocket to its end.
 * @returns The pause before the next attempt, in milliseconds, or why no WebSocket can be used.
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
    // Browsers hide why a handshake failed. This request rejects with the reason if the service refuses the topics, or is away.
    await requests.send(`/cursor?${topicQuery(topics).toString()}`, { signal });
    return 'blocked';
  } finally {
    clearTimeout(first);
    signal.removeEventListener('abort', abort);
    socket.onmessage = null;
    socket.close();
  }
}

/** A ticket for the URL, because a browser's WebSocket can send no header. Undefined if the service has no access control, and so makes no tickets. */
async function ticketFor(requests: Requests, topics: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  try {
    const answer = await requests.send('/tickets', { method: 'POST', body: JSON.stringify({ topics }), signal });
    const { ticket } = await answer.json() as { readonly ticket?: unknown };
    if (typeof ticket !== 'string') throw new Passing(undefined);
    return ticket;
  } catch (error) {
    if (!isRefusal(error) || error.status !== 401) throw error;
    // Without access control this succeeds. With it, the credential is refused here too, and the error goes to the caller.
    await requests.send(`/cursor?${topicQuery(topics).toString()}`, { signal });
    return undefined;
  }
}
