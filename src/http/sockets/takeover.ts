import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { letGoOf } from './let-go.ts';

/**
 * How a socket leaves the HTTP server for a stream. `claim` marks the connection in the turn in which the request's head was parsed. `passOver` drops the requests after it. `takeOver` waits for
 * the answers before it, and hands the socket to the stream.
 *
 * This room has the sockets below HTTP: let-go.ts takes a socket from Node's server, and socket-owner.ts gives it to another owner. room-for-connections.ts and accept-queues.ts bound and
 * spread connections. operations-server.ts is the second listener.
 */

/**
 * How many requests are passed over on a connection on which a stream was asked for; then it is closed. Stops a flood of them: nothing is
 * ever written for them, so nothing slows their sender down while the stream waits for earlier answers.
 */
const PASSED_OVER_MAX_REQUESTS = 100;

/** Sockets with a request that must be the last one there, with the number of later requests that were passed over. */
const claimed = new WeakMap<Socket, number>();

/**
 * Claims the socket of a request that asks for a stream, or is the last there, as soon as its head was parsed. False when an earlier request claimed it:
 * this request must not be carried out.
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
export function passOver(socket: Socket, request: IncomingMessage): void {
  // It never ends, and when the HTTP server lets go of the connection, it destroys requests that have not ended, together with their socket.
  request.destroy = () => request;
  const count = (claimed.get(socket) ?? 0) + 1;
  claimed.set(socket, count);
  if (count > PASSED_OVER_MAX_REQUESTS) socket.destroy();
}

/**
 * Takes a socket over from the HTTP server for the stream that begins there. It waits until the answers to earlier requests have left.
 * Afterwards nothing is parsed on the connection, and the server keeps nothing of it.
 * Call it on a later stack than the one on which the request was parsed.
 */
export function takeOver(response: ServerResponse, begin: (socket: Socket) => void): void {
  const take = (socket: Socket): void => {
    if (socket.destroyed) return;
    // The client has closed its side.
    if (socket.readableEnded || !socket.writable) {
      socket.destroySoon();
      return;
    }
    letGoOf(response, socket);
    begin(socket);
  };
  if (response.socket !== null) take(response.socket);
  else response.once('socket', (socket: Socket) => void setImmediate(take, socket));
}
