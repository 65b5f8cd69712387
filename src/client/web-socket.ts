import { Passing, TidingsError, type Requests } from './requests.ts';
import type { SourceTaker } from './stream-source.ts';
import { topicQuery } from './topics.ts';

/** A stream as a WebSocket. The library loads this module with the first of them. */

export interface SocketReading {
  readonly requests: Requests;
  /** The parameters of the stream. */
  readonly query: URLSearchParams;
  readonly topics: readonly string[];
  /** Whether a token can be asked for. */
  readonly hasTokens: boolean;
  readonly taker: SourceTaker;
  readonly signal: AbortSignal;
  /** The reconnection time before the service says its own. Milliseconds. */
  readonly retryMs: number;
}

/** A message, or an event about the stream. */
interface SocketFrame {
  readonly id?: string;
  readonly topic?: string;
  readonly event: string;
  readonly retryMs?: number;
  readonly data: unknown;
}

/**
 * Reads until the WebSocket ends.
 * @returns When to come back, in milliseconds; `blocked` where the service answers, but WebSockets do not come through.
 */
export async function readSocket({ requests, query, topics, hasTokens, taker, signal, retryMs }: SocketReading): Promise<number | 'blocked'> {
  const ticket = hasTokens ? await ticketFor(requests, topics, signal) : undefined;
  if (ticket !== undefined) query.set('ticket', ticket);
  const url = new URL(`${requests.url}/events?${query.toString()}`, (globalThis as { readonly location?: { readonly href: string } }).location?.href);
  url.protocol = url.protocol.replace('http', 'ws');
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const socket = new WebSocket(url);
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', abort);
  let retry = retryMs;
  let hasOpened = false;
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
    signal.removeEventListener('abort', abort);
    socket.onmessage = null;
    socket.close();
  }
}

/** A browser's WebSocket can send no header. Undefined where nothing takes a credential: then the handshake decides. */
async function ticketFor(requests: Requests, topics: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  try {
    const answer = await requests.send('/tickets', { method: 'POST', body: JSON.stringify({ topics }), signal });
    const { ticket } = await answer.json() as { readonly ticket?: unknown };
    if (typeof ticket !== 'string') throw new Passing('The answer has no ticket.');
    return ticket;
  } catch (error) {
    if (error instanceof TidingsError && error.code === 'unauthorized') return undefined;
    throw error;
  }
}
