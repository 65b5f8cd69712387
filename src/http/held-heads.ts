import type { IncomingHttpHeaders, IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Hold, type Budget } from '../runtime/sharing/budget.ts';
import { holderOf } from './admission/holder.ts';
import { NO_ROOM_FOR_HEAD } from './output/client-error.ts';

/** A parser keeps the bytes of a head, and strings made of them. */
const TEXT_FACTOR = 2;

/**
 * The fast path and `HeldRequests` do not count the first bytes of a head, because a connection itself takes more. So ordinary requests do not pay for the
 * count. `HeldHeads` counts all bytes.
 */
export const FREE_HEAD_BYTES = 2 * 1024;

/** The memory of a header besides its bytes, measured: two strings, and their entries in a growing list. */
export const HEADER_OBJECTS_BYTES = 128;

/** The two bytes of a line end. `takenBy` counts lines by their LF. */
const CR = 13;
const LF = 10;

const HEAD_END = Buffer.from('\r\n\r\n');

/** Up to this many bytes of the empty line (CR LF CR LF) may end one piece while the next piece has the rest. */
const CUT_MAX_BYTES = HEAD_END.length - 1;

const NO_BYTES = Buffer.alloc(0);

/** A property of the socket costs less than a map does. */
const FOLLOWED = Symbol('followed');

interface FollowedSocket extends Socket {
  [FOLLOWED]?: Followed | undefined;
}

/**
 * Counts the memory of incomplete heads at the HTTP server, also of heads after a request that is not answered yet. Node's parser buffers up to 64 KiB of each, and emits nothing until the head is complete.
 * When there is no room, the address with the most memory loses its newest connection.
 *
 * Node does not say at which byte a request ends. So `Followed` computes it: from the heads that end in a piece of input, and the lengths that they declare. After a chunked
 * body it counts the bytes after the last empty line: the body ends with an empty line, and an incomplete head has none.
 */
export class HeldHeads {
  readonly #server: Server;
  readonly #budget: Budget;

  constructor(server: Server, budget: Budget) {
    this.#server = server;
    this.#budget = budget;
    for (const event of ['request', 'checkExpectation']) server.prependListener(event, (request: IncomingMessage) => (request.socket as FollowedSocket)[FOLLOWED]?.begun(request));
  }

  /** Begins to count on a connection of which the HTTP server has read nothing yet. */
  follow(socket: FollowedSocket): void {
    socket[FOLLOWED] = new Followed(socket, this);
    // Without a listener for `data`, Node's parser reads from the handle, and no bytes are seen here. `let-go.ts` calls the listeners of `close`, too.
    socket.on('data', onData).on('close', onClose);
  }

  /** Stops counting on a connection that has become a WebSocket. */
  leave(socket: FollowedSocket): void {
    socket.off('data', onData).off('close', onClose);
    onClose.call(socket);
  }

  newHold(socket: Socket, takeBack: () => void): Hold {
    // The sender of a head is unknown until the head is whole.
    const hold = new Hold(this.#budget, holderOf({ scope: '' }, () => socket.remoteAddress ?? '', socket));
    hold.loosen({ takeBack });
    return hold;
  }

  /** @param hasRequest Whether a request came before. Then the connection ends without an answer, because a refusal must not precede the answer to that request. */
  refuse(socket: Socket, hasRequest: boolean): void {
    if (hasRequest) socket.destroy();
    else this.#server.emit('clientError', Object.assign(new Error('there is no room for a head'), { code: NO_ROOM_FOR_HEAD }), socket);
  }
}

function onData(this: FollowedSocket, chunk: Buffer): void {
  this[FOLLOWED]?.received(chunk);
}

function onClose(this: FollowedSocket): void {
  this[FOLLOWED]?.release();
  this[FOLLOWED] = undefined;
}

/** The requests that arrive on one connection. */
class Followed {
  readonly #socket: Socket;
  readonly #heads: HeldHeads;
  /** Created with the first incomplete head. */
  #hold: Hold | undefined;
  /** The request whose body is still coming, and no other: an idle connection must not keep the head of its last request in memory. */
  #request: IncomingMessage | undefined;
  #hasRequest = false;
  /** The length of the body of each request whose head ends in the next piece: 0 without a body, undefined if chunked. Node emits `request` before `data`. */
  #bodyLengths: (number | undefined)[] = [];
  /** How much of a body is still to come before the next head: 0 outside of a body, undefined if the length is unknown. */
  #bodyLeftBytes: number | undefined = 0;
  /** The last bytes of an incomplete head: its empty line may be split between two pieces. */
  #tail: Buffer = NO_BYTES;

  constructor(socket: Socket, heads: HeldHeads) {
    this.#socket = socket;
    this.#heads = heads;
  }

  begun(request: IncomingMessage): void {
    this.#request = request;
    this.#hasRequest = true;
    this.#bodyLengths.push(bodyBytes(request.headers));
  }

  /** The parser has read these bytes. */
  received(chunk: Buffer): void {
    const isBody = this.#request?.complete === false;
    const startsNewHead = this.#bodyLeftBytes !== 0 || this.#bodyLengths.length > 0;
    const end = startsNewHead ? this.#requestsEnd(chunk) : 0;
    if (this.#bodyLengths.length > 0) this.#bodyLengths = [];
    if (startsNewHead) this.#hold?.release();
    if (isBody) {
      this.#bodyLeftBytes = end === undefined ? undefined : end - chunk.length;
      this.#tail = NO_BYTES;
      return;
    }
    this.#request = undefined;
    this.#bodyLeftBytes = 0;
    const rest = chunk.subarray(end ?? endAfter(chunk.lastIndexOf(HEAD_END)));
    this.#tail = lastBytes(startsNewHead ? NO_BYTES : this.#tail, rest);
    if (rest.length === 0 || this.#hold?.isTakenBack === true) return;
    this.#hold ??= this.#heads.newHold(this.#socket, () => this.#refuse());
    if (!this.#hold.grow(takenBy(rest))) this.#refuse();
  }

  /** The index at which the last request in this piece ends, perhaps beyond the piece; undefined if it cannot be computed. */
  #requestsEnd(chunk: Buffer): number | undefined {
    let end = this.#bodyLeftBytes;
    let tail = this.#tail;
    for (const bytes of this.#bodyLengths) {
      if (end === undefined) return undefined;
      const headEnd = endOfHead(chunk, end, tail);
      if (headEnd === undefined || bytes === undefined) return undefined;
      end = headEnd + bytes;
      tail = NO_BYTES;
    }
    return end;
  }

  #refuse(): void {
    this.#heads.refuse(this.#socket, this.#hasRequest);
  }

  release(): void {
    this.#hold?.release();
  }
}

/** The declared length of a body: 0 without a body, undefined for a chunked one. */
function bodyBytes({ 'content-length': length, 'transfer-encoding': coding }: IncomingHttpHeaders): number | undefined {
  if (coding !== undefined) return undefined;
  return length === undefined ? 0 : Number(length);
}

/** The last bytes of a head: of `rest` if that is long enough, else with the bytes before it. A copy, so that it does not keep the whole piece. */
function lastBytes(before: Buffer, rest: Buffer): Buffer {
  if (rest.length >= CUT_MAX_BYTES) return Buffer.from(rest.subarray(-CUT_MAX_BYTES));
  if (before.length === 0 && rest.length === 0) return NO_BYTES;
  return Buffer.concat([before, rest]).subarray(-CUT_MAX_BYTES);
}

/** Returns where the head ends in this piece, or undefined. `before` has the last bytes of the piece before, if the head began there. */
function endOfHead(chunk: Buffer, from: number, before: Buffer): number | undefined {
  if (before.length > 0) {
    const cut = Buffer.concat([before, chunk.subarray(0, CUT_MAX_BYTES)]).indexOf(HEAD_END);
    if (cut !== -1) return endAfter(cut) - before.length;
  }
  // Empty lines before a request line mean nothing (RFC 9112, section 2.2).
  let begin = from;
  while (before.length === 0 && (chunk[begin] === CR || chunk[begin] === LF)) begin++;
  const at = chunk.indexOf(HEAD_END, begin);
  return at === -1 ? undefined : endAfter(at);
}

/** The index after the empty line at `at`; 0 if there is none (-1). */
function endAfter(at: number): number {
  return at === -1 ? 0 : at + HEAD_END.length;
}

/** The memory that a part of a head takes. Bytes. */
function takenBy(part: Uint8Array): number {
  let lines = 0;
  for (const byte of part) if (byte === LF) lines++;
  return TEXT_FACTOR * part.length + HEADER_OBJECTS_BYTES * lines;
}
