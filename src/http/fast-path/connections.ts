import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { disown, own, type Owner } from '../socket-owner.ts';
import { readPlain, type PlainRequest } from './plain-request.ts';
import { responseText, type Response } from './response.ts';

/**
 * Takes a request, or leaves it, with false or an error: then the HTTP server gets it, and says what is wrong with it. Whoever takes one
 * answers it once, or begins an answer that does not end.
 */
export type DirectHandler = (request: PlainRequest, connection: DirectConnection) => boolean;

/** A connection is kept so much longer than its client is told, so that a request which it sends at the last moment does not meet its end. Milliseconds. */
const KEEP_ALIVE_SLACK = 1_000;

/** How long the rest of a request is waited for here: pieces of one come right behind each other, unless something is slow. Milliseconds. */
const PART_MS = 1_000;

export interface DirectLimits {
  /** Stops a client from holding a connection on which it says nothing. Milliseconds. */
  readonly firstRequestMs: number;
  /** How long a client is told that its connection is kept behind an answer. Milliseconds. */
  readonly keepAliveMs: number;
}

/**
 * The short way for the requests that are nearly all of the work: opening a stream, and publishing a message. They are read from their socket
 * and answered on it, without the objects that the HTTP server and the framework make for each: for a publish those cost more than
 * storing it does, and for a stream they would stay for as long as it is open.
 *
 * It keeps next to nothing half-read. A request that came in more than two pieces, is not plain, asks for anything else, or is wrong in any way, is handed
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

  /** Says what the HTTP server would say of such an end: that no request came in time, or that it stopped in the middle. */
  refuse(socket: Socket, code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void {
    this.#server.emit('clientError', Object.assign(new Error('there is no whole request'), { code }), socket);
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
  /** The beginning of a request whose next piece must be its last. */
  #part: Buffer | undefined;
  /** Nothing that follows is taken: the client has closed its side, the service ends, or the answer does not. */
  #last = false;
  #answered = false;
  #begun = false;

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
    if (this.#begun) {
      // No other answer can stand in the middle of one.
      socket.destroy();
      return;
    }
    this.#last ||= close;
    const { text, encoding } = responseText(response, this.#last ? undefined : this.#all.limits.keepAliveMs);
    socket.write(text, encoding);
    this.#busy = false;
    if (this.#last) {
      socket.destroySoon();
      return;
    }
    if (!this.#answered) socket.setTimeout(this.#all.limits.keepAliveMs + KEEP_ALIVE_SLACK);
    this.#answered = true;
    this.#next();
  }

  /** Begins an answer that does not end, in which the socket is written to; undefined if the client has left, or the service is about to. */
  begin(head: string): Socket | undefined {
    const socket = this.#socket;
    if (this.#last) socket.destroySoon();
    if (this.#last || socket.destroyed) return undefined;
    this.#begun = true;
    this.#last = true;
    this.#waiting = undefined;
    socket.setTimeout(0);
    // What comes is read, so that the client's end is noticed, and thrown away.
    socket.resume();
    socket.write(head, 'latin1');
    return socket;
  }

  /** Gives the socket of such an answer to another owner: the server's ways to close its connections do not find it any more. */
  give(owner: Owner): void {
    this.#all.forget(this);
    own(this.#socket, owner);
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
    if (this.#last) return;
    if (this.#busy || this.#socket.writableNeedDrain) {
      this.#waiting = this.#waiting === undefined ? bytes : Buffer.concat([this.#waiting, bytes]);
      this.#socket.pause();
      return;
    }
    const front = this.#part;
    if (front !== undefined) this.#endPart();
    const whole = front === undefined ? bytes : Buffer.concat([front, bytes]);
    const read = readPlain(whole);
    if (read.kind === 'incomplete' && front === undefined) {
      this.#part = whole;
      this.#socket.setTimeout(PART_MS);
      return;
    }
    this.#busy = true;
    if (read.kind === 'plain') {
      if (read.length < whole.length) this.#waiting = whole.subarray(read.length);
      if (this.#isTaken(read.request)) return;
    }
    this.#handOver(whole);
  }

  #handOver(bytes: Buffer): void {
    this.#all.forget(this);
    this.#all.handOver(this.#socket, bytes);
  }

  #endPart(): void {
    this.#part = undefined;
    const { firstRequestMs, keepAliveMs } = this.#all.limits;
    this.#socket.setTimeout(this.#answered ? keepAliveMs + KEEP_ALIVE_SLACK : firstRequestMs);
  }

  #isTaken(request: PlainRequest): boolean {
    try {
      return this.#all.handler(request, this);
    } catch {
      // Nothing was done yet. The HTTP server answers the same error, and logs it if it is ours; here it would end the process.
      return false;
    }
  }

  /** Takes what has come meanwhile, once the client has taken its answers: or those of one that does not would fill the memory. */
  #next(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#busy || this.#socket.writableNeedDrain) return;
    this.#waiting = undefined;
    this.#socket.resume();
    this.received(waiting);
  }

  ended(): void {
    if (this.#part === undefined) this.endWhenIdle();
    else this.#all.refuse(this.#socket, 'HPE_INVALID_EOF_STATE');
  }

  idle(): void {
    // What the service itself takes its time for has bounds of its own.
    if (this.#busy) return;
    if (this.#part !== undefined) {
      this.#handOver(this.#part);
      return;
    }
    this.#last = true;
    if (this.#answered) this.#socket.destroy();
    else this.#all.refuse(this.#socket, 'ERR_HTTP_REQUEST_TIMEOUT');
  }

  drained(): void {
    this.#next();
  }

  closed(): void {
    this.#all.forget(this);
  }
}
