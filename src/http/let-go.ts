import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * How a connection leaves the HTTP server and stays open. Node has a way for that only where a client asks for an upgrade. Elsewhere the server would keep its request,
 * its response and its parser as long as the connection lasts: 18 KB for each stream, and an error with its stack when the stream ends. So the
 * server is told what it is told at an answer's end and at a connection's end; test/http/let-go.test.ts shows that nothing is left.
 */

/**
 * Lets go of the connection of a response whose turn has come. The response is never written to. Call it on a later stack than the one on which
 * the request was parsed, and own the socket in the same turn: nothing is left that listens.
 */
export function letGoOf(response: ServerResponse, socket: Socket): void {
  // As if the answer had left: the server forgets the request and the response.
  response.emit('finish');
  // A request that came after it, and was passed over, may have been given the socket.
  (socket as Socket & { readonly _httpMessage?: ServerResponse | null })._httpMessage?.detachSocket(socket);
  letGoOfIdle(socket);
}

/** Lets go of a connection on which no request is under way and none has begun. */
export function letGoOfIdle(socket: Socket): void {
  socket.setTimeout(0);
  // The server may have stopped reading below the socket, where nothing but its own listener begins again.
  (socket as Socket & { _paused?: boolean })._paused = false;
  socket.emit('resume');
  // As if the connection had ended: the server forgets it, and frees the parser, which reads below the events of the socket.
  for (const listener of socket.listeners('close')) (listener as () => void).call(socket);
  socket.removeAllListeners();
  socket.resume();
}
