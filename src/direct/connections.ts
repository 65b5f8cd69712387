import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { readPlain, type PlainRequest } from './request.ts';
import { responseText, type Response } from './response.ts';
import { disown, own, type Owner } from './socket.ts';

/** Takes a request, or leaves it: then the HTTP server gets it. Whoever takes it answers once, or takes the socket. */
export type DirectHandler = (request: PlainRequest, connection: DirectConnection) => boolean;

export interface DirectLimits {
  /** Stops a client from holding a connection on which it says nothing. Milliseconds. */
  readonly firstRequestMs: number;
  /** How long a connection is kept behind an answer. Milliseconds. */
  readonly keepAliveMs: number;
}

/**
 * The short way for the requests that are nearly all of the work: opening a stream, and publishing a message. They are read from their socket
 * and answered on it, without the objects that the HTTP server and the framework make for each: for a publish those cost more than
 * storing it does, and for a stream they would stay for as long as it is open.
 *
 * It keeps nothing half-read. A request that did not come in one piece, is not plain, asks for anything else, or is wrong in any way, is handed
 * over to the HTTP server with its connection, which stays there. So requests are refused in one place, and whatever is rare
 * or hostile takes the ordinary way.
 */
export class DirectConnections {
  readonly handler: DirectHandler;
  readonly limits: DirectLimits;
  readonly #server: Server;
  readonly #ordinary: readonly ((socket: Socket) => void)[];
  readonly #open = new Set<DirectConnection>();

  /** Stands before the server's own listener for connections; and the server's ways to close its connections find these too. */
  constructor(server: Server, handler: DirectHandler, limits: DirectLimits) {
    this.handler = handler;
    this.limits = limits;
    this.#server = server;
    this.#ordinary = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket) => void this.#open.add(new DirectConnection(socket, this)));
    const closeIdle = server.closeIdleConnections.bind(server);
    server.closeIdleConnections = () => {
      for (const connection of this.#open) connection.endWhenIdle();
      closeIdle();
    };
    const closeAll = server.closeAllConnections.bind(server);
    server.closeAllConnections = () => {
      for (const connection of this.#open) connection.destroy();
      closeAll();
    };
  }

  /** From now on the connection is the HTTP server's, which begins with the bytes that were read already. */
  handOver(socket: Socket, bytes: Buffer): void {
    disown(socket);
    socket.setTimeout(0);
    socket.unshift(bytes);
    for (const listener of this.#ordinary) listener.call(this.#server, socket);
    socket.resume();
  }

  /** A connection that never said anything gets the answer of one that stopped in the middle of a request. */
  expired(socket: Socket): void {
    this.#server.emit('clientError', Object.assign(new Error('no request came in time'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  }

  forget(connection: DirectConnection): void {
    this.#open.delete(connection);
  }
}

/** One connection, as long as it is neither a stream's nor the HTTP server's. */
export class DirectConnection implements Owner {
  readonly #socket: Socket;
  readonly #all: DirectConnections;
  /** A request is under way. What comes behind it waits, and then nothing more is read. */
  #busy = false;
  #waiting: Buffer | undefined;
  /** Nothing follows: the client has closed its side, or the service ends. */
  #last = false;
  #answered = false;

  constructor(socket: Socket, all: DirectConnections) {
    this.#socket = socket;
    this.#all = all;
    socket.setTimeout(all.limits.firstRequestMs);
    own(socket, this);
  }

  /** Answers the request that was taken. With `close` nothing more is taken on this connection. */
  answer(response: Response, close: boolean): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    this.#last ||= close;
    const { text, encoding } = responseText(response, this.#last ? undefined : this.#all.limits.keepAliveMs);
    socket.write(text, encoding);
    this.#busy = false;
    if (this.#last) {
      socket.destroySoon();
      return;
    }
    if (!this.#answered) socket.setTimeout(this.#all.limits.keepAliveMs);
    this.#answered = true;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    socket.resume();
    this.received(waiting);
  }

  /** Gives the socket to another owner: nothing more is parsed on it. */
  give(owner: Owner): void {
    this.#all.forget(this);
    this.#socket.setTimeout(0);
    own(this.#socket, owner);
  }

  get socket(): Socket {
    return this.#socket;
  }

  /** Ends now, or behind the answer that is due. */
  endWhenIdle(): void {
    this.#last = true;
    if (!this.#busy) this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  received(bytes: Buffer): void {
    if (this.#busy) {
      this.#waiting = this.#waiting === undefined ? bytes : Buffer.concat([this.#waiting, bytes]);
      this.#socket.pause();
      return;
    }
    this.#busy = true;
    const request = readPlain(bytes);
    if (request !== undefined && this.#all.handler(request, this)) return;
    this.#all.forget(this);
    this.#all.handOver(this.#socket, bytes);
  }

  ended(): void {
    this.endWhenIdle();
  }

  idle(): void {
    // What the service itself takes its time for has bounds of its own.
    if (this.#busy) return;
    if (this.#answered) this.#socket.destroy();
    else this.#all.expired(this.#socket);
  }

  drained(): void {
    // Answers are small, and the next request is read only behind the one before.
  }

  closed(): void {
    this.#all.forget(this);
  }
}
