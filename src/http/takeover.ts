import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * How many requests are passed over on a connection on which a stream was asked for; then it is closed. Stops a flood of them: nothing is
 * ever written for them, so nothing slows their sender down while the stream waits for earlier answers.
 */
const PASSED_OVER_MAX_REQUESTS = 100;

/** Sockets on which a stream was asked for: they are that stream's alone. With how many later requests were passed over. */
const claimed = new WeakMap<Socket, number>();

/**
 * Claims the socket of a request that asks for a stream, as soon as its head was parsed. False when an earlier request claimed it:
 * this request comes after a response that never ends, and must not be carried out.
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
  if (count > PASSED_OVER_MAX_REQUESTS) socket.destroy();
}

/**
 * Takes the socket of a response over from the HTTP server, for the stream that begins there, once the response owns it and its head is flushed: with pipelined
 * requests that is when the answers before it have left. From then on nothing more is parsed on the connection: what
 * the client sends is read, so that its end is noticed, and thrown away.
 */
export function takeOver(response: ServerResponse, begin: (socket: Socket) => void): void {
  const take = (socket: Socket): void => {
    response.flushHeaders();
    // A stream may be quiet for as long as it likes: the limit for other connections is not its own.
    socket.setTimeout(0);
    const parsers = socket.listeners('data');
    // The stream listens for data. That takes the socket back from Node's parser, which reads it below the events.
    begin(socket);
    for (const parser of parsers) socket.removeListener('data', parser as (chunk: Buffer) => void);
  };
  if (response.socket !== null) take(response.socket);
  else response.once('socket', take);
}
