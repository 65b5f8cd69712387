import type { Socket } from 'node:net';
import type { Budget } from '../../runtime/sharing/budget.ts';
import type { Admission } from '../admission/admission.ts';
import type { SocketOwner } from '../sockets/socket-owner.ts';
import type { PlainHead } from './plain-request.ts';
import type { Response } from './response.ts';

/** The contracts of a connection on the fast path: with the handlers of its requests, and with its server. */

/** A connection, as the handlers of its requests and its server use it. `FastPathConnection` implements it. */
export interface OpenConnection {
  /** Answers the request. `close` makes this the connection's last answer. */
  answer(response: Response, close: boolean): void;
  /** Begins an endless answer, which the caller writes to the socket. Returns undefined if the client has left, or if the service ends. */
  begin(): Socket | undefined;
  /** Gives the socket of an endless answer to another owner. After this, the server's `closeIdleConnections` and `closeAllConnections` do not reach it. */
  give(owner: SocketOwner): void;
  /** Whether the client is gone. */
  readonly isGone: boolean;
  /** Whether the connection waits for a request. A new connection is not idle yet: its first request is probably on the way. */
  readonly isIdle: boolean;
  /** Ends the connection now, or after the answer to a request that has begun to come. */
  endWhenIdle(): void;
  destroy(): void;
}

/** A request, and the connection that takes its answer. */
export interface FastPathRequest {
  readonly head: PlainHead;
  /** A slice of the read buffer, which holds the head too. Copy the body to keep it. */
  readonly body: Buffer;
  readonly admission: Admission;
  readonly connection: OpenConnection;
}

/**
 * Takes a request, and calls `connection.answer` or `connection.begin` once, at once or later. Returns false, or throws, to decline the request before it has done anything: then the
 * HTTP server answers it.
 */
export type FastPathHandler = (request: FastPathRequest) => boolean;

export interface ConnectionLimits {
  /** How long a client may take to begin its first request. Stops silent connections. Milliseconds. */
  readonly firstRequestMs: number;
  /** How long a connection stays open after an answer, as the client is told. Milliseconds. */
  readonly keepAliveMs: number;
}

/** The services of the server for its connections. `FastPathConnections` implements them. */
export interface ConnectionHost {
  /** The memory of incomplete requests and of long heads. Stops many connections from filling it together. */
  readonly parts: Budget;
  readonly limits: ConnectionLimits;
  /** Finds the handler of a request. Undefined: the connection hands the request over to the HTTP server. */
  readonly find: (head: PlainHead) => FastPathHandler | undefined;
  /** Decides whether to serve a request, before its body has come. The connection calls it once for each request. */
  readonly admit: (head: PlainHead, socket: Socket) => Admission | Promise<Admission>;
  /** Gives the socket to the HTTP server, with the bytes of the request that the connection has read. */
  handOver(socket: Socket, request: HandOver): void;
  /** Answers as the HTTP server would if no request came in time, or if a request stopped in the middle. */
  refuse(socket: Socket, code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void;
  /** The connection no longer owns its socket, or the socket has closed. */
  forget(connection: OpenConnection): void;
}

/** A request for the HTTP server. */
export interface HandOver {
  readonly bytes: Buffer;
  /** The decision about the request, if it was made. */
  readonly admission?: Admission | undefined;
  /** The length of the whole request, if known. Bytes. */
  readonly length?: number | undefined;
}
