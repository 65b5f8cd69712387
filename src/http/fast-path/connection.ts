import type { Socket } from 'node:net';
import { Hold } from '../../runtime/sharing/budget.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Admission } from '../admission/admission.ts';
import { FREE_HEAD_BYTES } from '../held-heads.ts';
import { holderOf } from '../admission/holder.ts';
import { endTimer, own, type SocketOwner } from '../sockets/socket-owner.ts';
import type { ConnectionHost, FastPathHandler, FastPathRequest, HandOver, OpenConnection } from './connection-host.ts';
import { readHead, type PlainHead } from './plain-request.ts';
import { responseText, type Response } from './response.ts';

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
 * The states of a connection:
 *
 * | state | further bytes | the client's end | no traffic for the socket's timeout |
 * |---|---|---|---|
 * | `waiting` for a request | begin one | closes | closes, before the first request with 408 |
 * | `partial`: has a part of a request (`#part`) | continue it | 400 | hands it over to the HTTP server |
 * | `busy`: admits or serves a request | wait in the socket | closes after the answer | nothing: other limits bound it |
 * | `streaming` an endless answer | are dropped | nothing: the owner of the answer closes | closes |
 *
 * A request goes `waiting` → `busy` → `waiting`. If its head or body is incomplete, it goes through `partial`. If admission has to wait, the bytes go back into
 * the socket, and are read again once `#decided` has the decision. From each state but `streaming`, a handover ends the connection's work.
 */
type State = 'waiting' | 'partial' | 'busy' | 'streaming';

/** One connection, until a stream or the HTTP server owns its socket. Hands a request over that comes slowly, or in many pieces. */
export class FastPathConnection implements SocketOwner, OpenConnection {
  readonly #socket: Socket;
  readonly #connections: ConnectionHost;
  readonly #connectedAt = performance.now();
  #state: State = 'waiting';
  /** The decision about the next request, whose bytes waited in the socket for the decision. */
  #decided: Admission | undefined;
  /** Defined exactly in the state `partial`. */
  #part: Part | undefined;
  /** Counts the memory of `#part`, or of the long head of the request that is served. */
  #hold: Hold | undefined;
  /** After this time, the next piece hands `#part` over. */
  #deadline = 0;
  /** Whether no further request is taken: the client has closed its side, the service ends, or the current answer is the last. */
  #acceptsNoMore = false;
  /** Whether the connection has carried an answer, so that keep-alive bounds it. */
  #answered = false;

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

  answer(response: Response, close: boolean): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (this.#state === 'streaming') {
      // An answer cannot stand in the middle of another answer.
      socket.destroy();
      return;
    }
    this.#acceptsNoMore ||= close;
    const { text, encoding } = responseText(response, this.#acceptsNoMore ? undefined : this.#connections.limits.keepAliveMs);
    socket.write(text, encoding);
    this.#state = 'waiting';
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

  begin(): Socket | undefined {
    const socket = this.#socket;
    if (this.#acceptsNoMore) socket.destroySoon();
    if (this.#acceptsNoMore || socket.destroyed) return undefined;
    this.#state = 'streaming';
    this.#acceptsNoMore = true;
    this.#letGo();
    endTimer(socket);
    // Read and drop further bytes: otherwise the socket would not notice the client's end.
    socket.resume();
    return socket;
  }

  give(owner: SocketOwner): void {
    this.#connections.forget(this);
    own(this.#socket, owner);
  }

  get isIdle(): boolean {
    if (this.#state !== 'waiting' || this.#acceptsNoMore) return false;
    return this.#answered || performance.now() - this.#connectedAt >= FIRST_REQUEST_USUAL_MS;
  }

  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  endWhenIdle(): void {
    this.#acceptsNoMore = true;
    if (this.#state === 'waiting') this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  received(bytes: Buffer): void {
    // Ignore bytes after the last request, but read the rest of that request.
    if (this.#acceptsNoMore && this.#part === undefined && this.#decided === undefined) return;
    if (this.#state === 'busy' || this.#socket.writableNeedDrain) {
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
    this.#state = 'busy';
    // Put the bytes back now: after the client's end the socket would take nothing back, and nothing could be handed over.
    this.#putBack(bytes);
    void admission.then((awaited) => {
      this.#decided = awaited;
      this.#state = 'waiting';
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
    this.#state = 'busy';
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
    this.#state = 'partial';
    this.#part = part;
    this.#socket.resume();
    if (part.pieces === 1) this.#deadline = performance.now() + REST_OF_REQUEST_MS;
    this.#socket.setTimeout(REST_OF_REQUEST_MS);
  }

  /** The holder of a part's memory. Until the head is whole and names the sender, it is the address. */
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
    this.#state = 'waiting';
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
    if ((this.#state === 'waiting' || this.#state === 'partial') && !this.#socket.writableNeedDrain) this.#socket.resume();
  }

  ended(): void {
    if (this.#part === undefined) this.endWhenIdle();
    else this.#connections.refuse(this.#socket, 'HPE_INVALID_EOF_STATE');
  }

  idle(): void {
    if (this.#state === 'streaming') {
      // The client of a refused stream does not read the answer.
      this.#socket.destroy();
      return;
    }
    // Other limits bound a request that is being admitted or served.
    if (this.#state === 'busy') return;
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
