import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * How many requests that stand behind one for a stream are passed over on a connection, before it is closed. Nothing is ever written for them, so
 * nothing holds back who sends them while the stream itself waits for the answers before it. Requests.
 */
const PASSED_OVER_MAX = 100;

/** Sockets on which a stream was asked for: they are that stream's alone. With how much else was sent along and passed over. */
const claimed = new WeakMap<Socket, number>();

/**
 * Says that a request asks for a stream, as soon as its head was parsed. False when an earlier one on the same connection
 * did so already: then this request stands behind a response that never ends, and must not be carried out.
 */
export function claim(socket: Socket): boolean {
  if (claimed.has(socket)) return false;
  claimed.set(socket, 0);
  return true;
}

export function isClaimed(socket: Socket): boolean {
  return claimed.has(socket);
}

/** Says that a request on a claimed socket is not carried out. */
export function passOver(socket: Socket): void {
  const count = (claimed.get(socket) ?? 0) + 1;
  claimed.set(socket, count);
  if (count > PASSED_OVER_MAX) socket.destroy();
}

/**
 * Takes the socket of a response over from the HTTP server, for the stream that begins there, once the response owns it and its head is flushed: with pipelined
 * requests that is when the answers before it have left. From then on nothing more is parsed on the connection: what
 * the client sends is read, so that its end is noticed, and thrown away.
 */
export function takeOver(response: ServerResponse, begin: (socket: Socket) => void): void {
  const start = (socket: Socket): void => {
    response.flushHeaders();
    // A stream may be quiet for as long as it likes: the limit for other connections is not its own.
    socket.setTimeout(0);
    const parsers = socket.listeners('data');
    // Whoever begins listens for data, and so takes the socket back from the parser's fast path, which reads it below the events.
    begin(socket);
    for (const parser of parsers) socket.removeListener('data', parser as (chunk: Buffer) => void);
  };
  if (response.socket !== null) start(response.socket);
  else response.once('socket', start);
}
