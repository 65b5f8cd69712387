import type { Socket } from 'node:net';
import { Hold, type Budget } from '../../runtime/budget.ts';
import type { Holder } from '../../runtime/fair-shares.ts';
import type { Admission } from '../admission.ts';
import { FREE_HEAD_BYTES } from '../held-heads.ts';
import { holderOf } from '../holder.ts';
import { endTimer, own, type SocketOwner } from '../socket-owner.ts';
import { readHead, type PlainHead } from './plain-request.ts';
import { responseText, type Response } from './response.ts';

/** A request that is served, and where its answer goes. */
export interface FastPathRequest {
  readonly head: PlainHead;
  /** A part of the bytes that were read. */
  readonly body: Buffer;
  readonly admission: Admission;
  readonly connection: FastPathConnection;
}

/**
 * Takes a request: then it answers once, or begins an answer that does not end. Returns false, or throws, to decline the request. Then the
 * HTTP server gets it, and says what is wrong with it.
 */
export type FastPathHandler = (request: FastPathRequest) => boolean;

/** The time by which a connection is kept longer than its client is told. Stops a request sent at the last moment from meeting a closed connection. */
const KEEP_ALIVE_SLACK_MS = 1_000;

/** A client that has something to ask has usually begun to so soon after it connected. Stops its connection from being ended for one that came later. */
const FIRST_REQUEST_USUAL_MS = 1_000;

/** How long the rest of a request is waited for here: unless something is slow, its pieces follow each other at once. Stops slow clients from holding memory that nobody counts. */
const REST_OF_REQUEST_MS = 1_000;

/** Stops the fast path from holding long bodies: the HTTP server reads them piece by piece, and counts the bytes it holds. */
const REQUEST_MAX_BYTES = 64 * 1024;

/** A request in more pieces is handed over. Stops a request that comes a byte at a time from being copied with each byte. */
const REQUEST_MAX_READS = 8;

export interface ConnectionLimits {
  /** Stops a client from holding a connection on which it says nothing. Milliseconds. */
  readonly firstRequestMs: number;
  /** How long a client is told that its connection is kept after an answer. Milliseconds. */
  readonly keepAliveMs: number;
}

/** The parts of its server that a connection needs. */
export interface ConnectionHost {
  /** For requests that have come in part. Stops many connections, each with a part of its own, from holding memory together. */
  readonly parts: Budget;
  readonly limits: ConnectionLimits;
  /** The handler of a request; undefined leaves it to the HTTP server. */
  readonly find: (head: PlainHead) => FastPathHandler | undefined;
  /** Decides whether it is served: once, before its body is waited for. */
  readonly admit: (head: PlainHead, socket: Socket) => Admission | Promise<Admission>;
  /** Gives the connection to the HTTP server. */
  handOver(socket: Socket, request: HandOver): void;
  /** Says what the HTTP server would say of such an end: that no request came in time, or that it stopped in the middle. */
  refuse(socket: Socket, code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void;
  forget(connection: FastPathConnection): void;
}

/** A request that is handed over. */
export interface HandOver {
  readonly bytes: Buffer;
  /** The decision about it. */
  readonly admission?: Admission | undefined;
  /** The length of the whole request, if known. Bytes. */
  readonly length?: number | undefined;
}

/** A head that was admitted and whose body is on its way, or the beginning of a head. */
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
 * One connection, as long as it is neither a stream's nor the HTTP server's. It keeps little half-read, and not for long: a request that
 * comes slowly, or in many pieces, is handed over.
 */
export class FastPathConnection implements SocketOwner {
  readonly #socket: Socket;
  readonly #connections: ConnectionHost;
  readonly #began = performance.now();
  /** A request is under way. Later bytes wait in the socket. */
  #busy = false;
  /** The decision about the next request, made again: admission took a while, and its bytes waited in the socket. */
  #decided: Admission | undefined;
  #part: Part | undefined;
  /** The memory of a request that has come in part, or that is under way and has a long head. */
  #hold: Hold | undefined;
  /** When to stop putting its pieces together here. */
  #deadline = 0;
  /** Whether no more bytes are read: the client has closed its side, the service ends, or the answer has no end. */
  #last = false;
  #answered = false;
  #begun = false;

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
    const { text, encoding } = responseText(response, this.#last ? undefined : this.#connections.limits.keepAliveMs);
    socket.write(text, encoding);
    this.#busy = false;
    this.#letGo();
    if (this.#last) {
      socket.destroySoon();
      return;
    }
    if (!this.#answered) {
      this.#answered = true;
      socket.setTimeout(this.#idleMs);
    }
    this.#next();
  }

  /** Begins an answer that does not end, in which the socket is written to; undefined if the client has left, or the service is about to. */
  begin(): Socket | undefined {
    const socket = this.#socket;
    if (this.#last) socket.destroySoon();
    if (this.#last || socket.destroyed) return undefined;
    this.#begun = true;
    this.#last = true;
    this.#letGo();
    endTimer(socket);
    // Reads and drops further bytes, so that the client's end is noticed.
    socket.resume();
    return socket;
  }

  /** Gives the socket of such an answer to another owner: the server's ways to close its connections do not find it any more. */
  give(owner: SocketOwner): void {
    this.#connections.forget(this);
    own(this.#socket, owner);
  }

  /** No request is under way or has begun to come, and none is expected at any moment, as on a new connection. */
  get isIdle(): boolean {
    if (this.#busy || this.#part !== undefined || this.#last) return false;
    return this.#answered || performance.now() - this.#began >= FIRST_REQUEST_USUAL_MS;
  }

  /** Whether the client is gone. */
  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  /** Ends now, or after the answer that is due, also to a request that has begun to come. */
  endWhenIdle(): void {
    this.#last = true;
    if (!this.#busy && this.#part === undefined) this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  received(bytes: Buffer): void {
    // Bytes after the last request are ignored; the rest of that request is still read.
    if (this.#last && this.#part === undefined && this.#decided === undefined) return;
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

  /** Reads a head, and asks whether it is admitted. */
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
    // After the client's end, the socket would take nothing back, and the request could not be handed over any more.
    this.#putBack(bytes);
    void admission.then((awaited) => {
      this.#decided = awaited;
      this.#busy = false;
      this.#next();
    });
  }

  /**
   * Leaves what comes after a request that is under way, or that is being admitted, to the socket, and reads no more until that is over. While something is there, the socket does not
   * say that the client has closed its side: what was sent before that counts.
   */
  #putBack(bytes: Buffer): void {
    this.#socket.pause();
    this.#socket.unshift(bytes);
  }

  #serve(bytes: Buffer, pieces: number, admitted: Admitted): void {
    const { head, bodyStart, length, handler, admission } = admitted;
    this.#busy = true;
    if (this.#socket.destroyed) return;
    if (admission.refusal !== undefined) {
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

  /** Counts the head of a request that is under way, if it is long. Returns whether there is room. */
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

  /** The sender of a head is unknown until the head is whole. */
  #holderOf({ admitted }: Part): Holder {
    return admitted?.admission.holder() ?? holderOf({ scope: '' }, () => this.#socket.remoteAddress ?? '', this.#socket);
  }

  /** The HTTP server counts the bytes it holds, and refuses the excess. */
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
      // Nothing was done yet. The HTTP server answers the same error, and logs it if it is ours; here it would end the process.
      return false;
    }
  }

  /** Takes what has come meanwhile, once the client has taken its answers. Stops the answers of a client that takes none from filling memory. */
  #next(): void {
    if (!this.#busy && !this.#socket.writableNeedDrain) this.#socket.resume();
  }

  ended(): void {
    if (this.#part === undefined) this.endWhenIdle();
    else this.#connections.refuse(this.#socket, 'HPE_INVALID_EOF_STATE');
  }

  idle(): void {
    if (this.#begun) {
      // A refused stream whose client does not read the answer.
      this.#socket.destroy();
      return;
    }
    // A request that is under way has bounds of its own.
    if (this.#busy) return;
    if (this.#part !== undefined) {
      this.#handOverPart(this.#part);
      return;
    }
    this.#last = true;
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
