import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { endTimer } from './socket-owner.ts';

/**
 * How a connection leaves the HTTP server and stays open. Node offers that only for upgrades. Otherwise the server keeps the request, the response and
 * the parser as long as the connection lasts, which is 18 KB for each stream. So these functions send the server the events of an answer's end and of
 * a connection's end. They rely on how Node handles those; test/http/let-go.test.ts fails if a version of Node keeps anything.
 */

/**
 * Lets go of the connection of a response that has the socket. The response must never be written to. Call it on a later stack than the one on
 * which the request was parsed, and add an owner in the same turn, because no listener is left.
 */
export function letGoOf(response: ServerResponse, socket: Socket): void {
  // As if the answer had left: the server forgets the request and the response.
  response.emit('finish');
  // On `finish`, Node may have given the socket to the response of a later request, which was passed over.
  (socket as Socket & { readonly _httpMessage?: ServerResponse | null })._httpMessage?.detachSocket(socket);
  letGoOfIdle(socket);
}

/** One listener for the real end of each connection. `letGoOfIdle` calls all other `close` listeners earlier. */
const atEnd = new WeakMap<Socket, () => void>();

/** Calls a listener at the real end of a connection, even if the server has let go of it before. */
export function onConnectionEnd(socket: Socket, listener: () => void): void {
  atEnd.set(socket, listener);
  socket.on('close', listener);
}

/** Removes the listener of `onConnectionEnd`. */
export function offConnectionEnd(socket: Socket): void {
  const listener = atEnd.get(socket);
  if (listener !== undefined) socket.off('close', listener);
  atEnd.delete(socket);
}

/** Lets go of a connection on which no request is under way and none has begun. */
export function letGoOfIdle(socket: Socket): void {
  endTimer(socket);
  // Node's parser may have stopped reading below the socket. Only the server's listener for `resume` starts it again.
  (socket as Socket & { _paused?: boolean })._paused = false;
  socket.emit('resume');
  const listener = atEnd.get(socket);
  if (listener !== undefined) socket.off('close', listener);
  // As if the connection had ended: the server forgets it, and frees the parser, which reads below the events of the socket.
  for (const listener of socket.listeners('close')) (listener as () => void).call(socket);
  socket.removeAllListeners();
  if (listener !== undefined) socket.on('close', listener);
  socket.resume();
}
