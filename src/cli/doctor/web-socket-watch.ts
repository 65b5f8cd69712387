import { WebSocket } from 'ws';
import { credentials, failureOf, pathPrefix, timedOut, type Failure, type Target } from './exchange.ts';

/** Opens a WebSocket through all proxies: records the handshake, a frame of the service, and the answer to a frame of ours. */

/** Stops a frame from filling the memory. */
const FRAME_MAX_BYTES = 1024 * 1024;
/** An empty request: the service answers with `$error`, and changes nothing. */
const EMPTY_FRAME = '{}';

export interface WebSocketSeen {
  /** Whether the handshake succeeded. */
  readonly isOpen: boolean;
  /** The status and content type of an answer that refuses the handshake. */
  readonly refusal: { readonly status: number; readonly type: string } | undefined;
  readonly failure: Failure | undefined;
  /** Whether a frame of the service came. */
  readonly hasFrame: boolean;
  /** Whether the service answered our frame. */
  readonly isAnswered: boolean;
}

/** Resolves when our frame is answered, the WebSocket has closed, or the time is up. */
export function watchWebSocket(target: Target, path: string): Promise<WebSocketSeen> {
  return new Promise((resolve) => {
    let seen: WebSocketSeen = { isOpen: false, refusal: undefined, failure: undefined, hasFrame: false, isAnswered: false };
    const { url, timeoutMs } = target;
    const socket = new WebSocket(`${url.protocol === 'https:' ? 'wss:' : 'ws:'}//${url.host}${pathPrefix(target)}${path}`, { headers: credentials(target), perMessageDeflate: false, maxPayload: FRAME_MAX_BYTES });
    const done = (more: Partial<WebSocketSeen> = {}): void => {
      clearTimeout(limit);
      resolve({ ...seen, ...more });
      socket.terminate();
    };
    const limit = setTimeout(() => done(seen.isOpen ? {} : { failure: timedOut(timeoutMs) }), timeoutMs);
    socket.on('open', () => {
      seen = { ...seen, isOpen: true };
      socket.send(EMPTY_FRAME);
    });
    socket.on('message', (data) => {
      seen = { ...seen, hasFrame: true };
      if (eventOf(data) === '$error') done({ isAnswered: true });
    });
    socket.on('unexpected-response', (request, response) => {
      done({ refusal: { status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '' } });
      request.destroy();
    });
    socket.on('error', (error) => done(seen.isOpen ? {} : { failure: failureOf(error) }));
    socket.on('close', () => done());
  });
}

function eventOf(data: WebSocket.RawData): unknown {
  try {
    return (JSON.parse(Buffer.isBuffer(data) ? data.toString() : '') as { readonly event?: unknown } | null)?.event;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
