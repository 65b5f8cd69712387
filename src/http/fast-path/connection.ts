import type { Socket } from 'node:net';
import { Hold, type Budget } from '../../runtime/sharing/budget.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Admission } from '../admission/admission.ts';
import { FREE_HEAD_BYTES } from '../held-heads.ts';
import { holderOf } from '../admission/holder.ts';
import { endTimer, own, type SocketOwner } from '../sockets/socket-owner.ts';
import { readHead, type PlainHead } from './plain-request.ts';
import { responseText, type Response } from './response.ts';

/** A request, and the connection that takes its answer. */
export interface FastPathRequest {
  readonly head: PlainHead;
  /** A slice of the read buffer. */
  readonly body: Buffer;
  readonly admission: Admission;
  readonly connection: FastPathConnection;
}

/**
 * Takes a request, and then answers once or begins an endless answer. Returns false, or throws, to decline the request: the
 * HTTP server then answers it.
 */
export type FastPathHandler = (request: FastPathRequest) => boolean;

/** How much longer a connection stays open than its client is told. Stops a request sent at the last moment from meeting a closed connection. */
const KEEP_ALIVE_SLACK_MS = 1_000;

/** A new connection is not idle until this time has passed: its first request is probably on the way. Stops newer connections from ending it. */
const FIRST_REQUEST_USUAL_MS = 1_000;

/** How long the fast path waits for the rest of a request. Stops slow clients from staying here: the HTTP server reads the rest under its own timeouts. */
const REST_OF_REQUEST_MS = 1_000;

/** Stops the fast path from holding long bodies: the HTTP server reads them piece by piece, and counts the bytes it holds. */
const REQUEST_MAX_BYTES = 64 * 1024;

/** The fast path hands a request over if it is still incomplete after this number of pieces. Stops a request that comes a byte at a time from being copied with each byte. */
const REQUEST_MAX_READS = 8;

export interface ConnectionLimits {
  /** How long a client may take to begin its first request. Stops silent connections. Milliseconds. */
  readonly firstRequestMs: number;
  /** How long a connection stays open after an answer, as the client is told. Milliseconds. */
  readonly keepAliveMs: number;
}

/** What a connection needs of its server. */
export interface ConnectionHost {
  /** The memory of incomplete requests and of long heads. Stops many connections from filling it together. */
  readonly parts: Budget;
  readonly limits: ConnectionLimits;
  /** The handler of a request; undefined leaves the request to the HTTP server. */
  readonly find: (head: PlainHead) => FastPathHandler | undefined;
  /** Decides once whether to serve a request, before its body has come. */
  readonly admit: (head: PlainHead, socket: Socket) => Admission | Promise<Admission>;
  /** Gives the connection to the HTTP server. */
  handOver(socket: Socket, request: HandOver): void;
  /** Answers as the HTTP server would if no request came in time, or if a request stopped in the middle. */
  refuse(socket: Socket, code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void;
  forget(connection: FastPathConnection): void;
}

/** A request for the HTTP server. */
export interface HandOver {
  readonly bytes: Buffer;
  /** The decision about the request, if it was made. */
  readonly admission?: Admission | undefined;
  /** The length of the whole request, if known. Bytes. */
  readonly length?: number | undefined;
}

/** An incomplete request: the beginning of a head, or an admitted head whose body is on its way. */
interface Part {
  readonly bytes: Buffer;
  readonly pieces: number;
  readonly admitted?: Admitted;
}

interface Admitted {
  readonly head: PlainHead;
  readonly bodyStart: number;
  /** The length of the whole request. Bytes. */
  readonly length: number;
  readonly handler: FastPathHandler;
  readonly admission: Admission;
}

/**
 * One connection, until a stream or the HTTP server owns it. Hands a request over that comes slowly, or in many pieces.
 *
 * | state | marked by | further bytes |
 * |---|---|---|
 * | waits for a request | none of these | begin one |
 * | has a part of a request | `#part` | continue it |
 * | admits or serves a request | `#busy` | wait in the socket |
 * | streams an endless answer | `#isStreaming` | are dropped |
 */
export class FastPathConnection implements SocketOwner {
  readonly #socket: Socket;
  readonly #connections: ConnectionHost;
  readonly #connectedAt = performance.now();
  #busy = false;
  /** The decision about the next request, whose bytes waited in the socket for the decision. */
  #decided: Admission | undefined;
  #part: Part | undefined;
  /** Counts the memory of `#part`, or of the long head of the request that is served. */
  #hold: Hold | undefined;
  /** After this time, the next piece hands `#part` over. */
  #deadline = 0;
  /** Whether no further request is taken: the client has closed its side, the service ends, or the current answer is the last. */
  #acceptsNoMore = false;
  /** Whether the connection has carried an answer, so that keep-alive bounds it. */
  #answered = false;
  #isStreaming = false;

  constructor(socket: Socket, connections: ConnectionHost, answered = false) {
    this.#socket = socket;
    this.#connections = connections;
    this.#answered = answered;
    socket.setTimeout(this.#idleMs);
    own(socket, this);
  }

  get #idleMs(): number {
    const { firstRequestMs, keepAliveMs } = this.#connections.limits;
    return this.#answered ? keepAliveMs + KEEP_ALIVE_SLACK_MS : firstRequestMs;
  }

  /** Answers the request. `close` makes this the connection's last answer. */
  answer(response: Response, close: boolean): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (this.#isStreaming) {
      // An answer cannot stand in the middle of another answer.
      socket.destroy();
      return;
    }
    this.#acceptsNoMore ||= close;
    const { text, encoding } = responseText(response, this.#acceptsNoMore ? undefined : this.#connections.limits.keepAliveMs);
    socket.write(text, encoding);
    this.#busy = false;
    this.#letGo();
    if (this.#acceptsNoMore) {
      socket.destroySoon();
      return;
    }
    if (!this.#answered) {
      this.#answered = true;
      socket.setTimeout(this.#idleMs);
    }
    this.#next();
  }

  /** Begins an endless answer, which the caller writes to the socket. Returns undefined if the client has left, or if the service ends. */
  begin(): Socket | undefined {
    const socket = this.#socket;
    if (this.#acceptsNoMore) socket.destroySoon();
    if (this.#acceptsNoMore || socket.destroyed) return undefined;
    this.#isStreaming = true;
    this.#acceptsNoMore = true;
    this.#letGo();
    endTimer(socket);
    // Read and drop further bytes: otherwise the socket would not notice the client's end.
    socket.resume();
    return socket;
  }

  /** Gives the socket of an endless answer to another owner. After this, the server's `closeIdleConnections` and `closeAllConnections` do not reach it. */
  give(owner: SocketOwner): void {
    this.#connections.forget(this);
    own(this.#socket, owner);
  }

  /** Whether the connection waits for a request that is not expected at any moment, as it is on a new connection. */
  get isIdle(): boolean {
    if (this.#busy || this.#part !== undefined || this.#acceptsNoMore) return false;
    return this.#answered || performance.now() - this.#connectedAt >= FIRST_REQUEST_USUAL_MS;
  }

  /** Whether the client is gone. */
  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  /** Ends the connection now, or after the answer to a request that has begun to come. */
  endWhenIdle(): void {
    this.#acceptsNoMore = true;
    if (!this.#busy && this.#part === undefined) this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  received(bytes: Buffer): void {
    // Ignore bytes after the last request, but read the rest of that request.
    if (this.#acceptsNoMore && this.#part === undefined && this.#decided === undefined) return;
    if (this.#busy || this.#socket.writableNeedDrain) {
      this.#putBack(bytes);
      return;
    }
    const part = this.#part;
    if (part === undefined) {
      this.#read(bytes, 1);
      return;
    }
    this.#endPart();
    const whole = Buffer.concat([part.bytes, bytes]);
    const pieces = performance.now() > this.#deadline ? REQUEST_MAX_READS : part.pieces + 1;
    if (part.admitted === undefined) this.#read(whole, pieces);
    else this.#serve(whole, pieces, part.admitted);
  }

  /** Reads a head, and asks for its admission. */
  #read(bytes: Buffer, pieces: number): void {
    const read = readHead(bytes);
    if (read.kind === 'incomplete' && pieces < REQUEST_MAX_READS) {
      this.#wait({ bytes, pieces });
      return;
    }
    if (read.kind !== 'plain') {
      this.#handOver({ bytes });
      return;
    }
    const { head, bodyStart, length } = read;
    const handler = length > REQUEST_MAX_BYTES ? undefined : this.#connections.find(head);
    if (handler === undefined) {
      this.#handOver({ bytes, length });
      return;
    }
    const admission = this.#decided ?? this.#connections.admit(head, this.#socket);
    this.#decided = undefined;
    if (!(admission instanceof Promise)) {
      this.#serve(bytes, pieces, { head, bodyStart, length, handler, admission });
      return;
    }
    this.#busy = true;
    // Put the bytes back now: after the client's end the socket would take nothing back, and nothing could be handed over.
    this.#putBack(bytes);
    void admission.then((awaited) => {
      this.#decided = awaited;
      this.#busy = false;
      this.#next();
    });
  }

  /**
   * Puts bytes back into the socket, and stops reading until `#next`. While the socket holds bytes, it does not report the client's end, so requests sent before the end
   * still count.
   */
  #putBack(bytes: Buffer): void {
    this.#socket.pause();
    this.#socket.unshift(bytes);
  }

  #serve(bytes: Buffer, pieces: number, admitted: Admitted): void {
    const { head, bodyStart, length, handler, admission } = admitted;
    this.#busy = true;
    if (this.#socket.destroyed) return;
    if (admission.outcome.kind === 'refused') {
      this.#handOver({ bytes, admission, length });
      return;
    }
    if (bytes.length < length) {
      if (pieces < REQUEST_MAX_READS && !this.#socket.readableEnded) this.#wait({ bytes, pieces, admitted });
      else this.#handOver({ bytes, admission, length });
      return;
    }
    if (bytes.length > length) this.#putBack(bytes.subarray(length));
    if (!this.#holdHead(bodyStart, admission) || !this.#isTaken(handler, { head, body: bytes.subarray(bodyStart, length), admission, connection: this })) this.#handOver({ bytes: bytes.subarray(0, length), admission, length });
  }

  /** Counts the memory of a long head while its request is served. Returns whether there is room. */
  #holdHead(bytes: number, admission: Admission): boolean {
    const counted = bytes - FREE_HEAD_BYTES;
    if (counted <= 0) return true;
    this.#hold = new Hold(this.#connections.parts, admission.holder());
    this.#hold.loosen({ waitsForUs: true, takeBack: () => this.#socket.destroy() });
    return this.#hold.grow(counted);
  }

  #letGo(): void {
    this.#hold?.release();
    this.#hold = undefined;
  }

  #wait(part: Part): void {
    const hold = (this.#hold = new Hold(this.#connections.parts, this.#holderOf(part)));
    hold.loosen({ takeBack: () => this.#handOverPart(part) });
    if (!hold.grow(part.bytes.length)) {
      this.#handOverPart(part);
      return;
    }
    this.#busy = false;
    this.#socket.resume();
    if (part.pieces === 1) this.#deadline = performance.now() + REST_OF_REQUEST_MS;
    this.#part = part;
    this.#socket.setTimeout(REST_OF_REQUEST_MS);
  }

  /** Whose memory a part counts for: its address until the head is whole and names the sender. */
  #holderOf({ admitted }: Part): Holder {
    return admitted?.admission.holder() ?? holderOf({ scope: '' }, () => this.#socket.remoteAddress ?? '', this.#socket);
  }

  /** Hands an incomplete request to the HTTP server, which counts the bytes it holds, and refuses the excess. */
  #handOverPart({ bytes, admitted }: Part): void {
    this.#handOver({ bytes, admission: admitted?.admission, length: admitted?.length });
  }

  #handOver(request: HandOver): void {
    this.#letGo();
    this.#connections.forget(this);
    if (this.#socket.readableEnded) this.#connections.refuse(this.#socket, 'HPE_INVALID_EOF_STATE');
    else this.#connections.handOver(this.#socket, request);
  }

  #endPart(): void {
    this.#letGo();
    this.#part = undefined;
    this.#socket.setTimeout(this.#idleMs);
  }

  #isTaken(handler: FastPathHandler, request: FastPathRequest): boolean {
    try {
      return handler(request);
    } catch {
      // The handler has done nothing yet: the HTTP server meets the same error, answers it, and logs it if it is ours.
      return false;
    }
  }

  /** Reads on, if the client has read its answers. Stops the answers to a client that reads none from filling memory. */
  #next(): void {
    if (!this.#busy && !this.#socket.writableNeedDrain) this.#socket.resume();
  }

  ended(): void {
    if (this.#part === undefined) this.endWhenIdle();
    else this.#connections.refuse(this.#socket, 'HPE_INVALID_EOF_STATE');
  }

  idle(): void {
    if (this.#isStreaming) {
      // The client of a refused stream does not read the answer.
      this.#socket.destroy();
      return;
    }
    // Other limits bound a request that is being admitted or served.
    if (this.#busy) return;
    if (this.#part !== undefined) {
      this.#handOverPart(this.#part);
      return;
    }
    this.#acceptsNoMore = true;
    if (this.#answered) this.#socket.destroy();
    else this.#connections.refuse(this.#socket, 'ERR_HTTP_REQUEST_TIMEOUT');
  }

  drained(): void {
    this.#next();
  }

  closed(): void {
    this.#letGo();
    this.#connections.forget(this);
  }
}
