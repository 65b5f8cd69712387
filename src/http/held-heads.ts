import type { IncomingHttpHeaders, IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Hold, type Budget } from '../runtime/sharing/budget.ts';
import { holderOf } from './admission/holder.ts';
import { NO_ROOM_FOR_HEAD } from './output/client-error.ts';

/** A parser keeps the bytes of a head, and makes texts of them. */
const TEXT_FACTOR = 2;

/** The first bytes of a request's head do not count: its connection takes more. Stops ordinary requests from paying for a count. */
export const FREE_HEAD_BYTES = 2 * 1024;

/** The memory of a header besides its bytes, measured: two texts, and their places in a list that grows. */
export const HEADER_OBJECTS_BYTES = 128;

/** The bytes of a line end. A line counts by the second. */
const CR = 13;
const LF = 10;

const HEAD_END = Buffer.from('\r\n\r\n');

/** How much of an empty line may stand in other bytes than its end. */
const CUT_MAX_BYTES = HEAD_END.length - 1;

const NO_BYTES = Buffer.alloc(0);

/** A property of the socket costs less than a map does. */
const FOLLOWED = Symbol('followed');

interface FollowedSocket extends Socket {
  [FOLLOWED]?: Followed | undefined;
}

/**
 * Counts heads that are still arriving at the HTTP server, also those that follow a request under way. Its parser keeps up to 64 KiB of each, and no event tells of it.
 * When there is no room, the address that holds most loses its newest connection.
 *
 * The parser does not tell where a request ends. The heads that end in one piece of input, and the lengths that they declare, tell it. After a chunked body the bytes after the last
 * empty line are counted: the body ends with one, and an incomplete head contains none.
 */
export class HeldHeads {
  readonly #server: Server;
  readonly #budget: Budget;

  constructor(server: Server, budget: Budget) {
    this.#server = server;
    this.#budget = budget;
    for (const event of ['request', 'checkExpectation']) server.prependListener(event, (request: IncomingMessage) => (request.socket as FollowedSocket)[FOLLOWED]?.begun(request));
  }

  /** The HTTP server has a connection, and has read nothing of it yet. */
  follow(socket: FollowedSocket): void {
    socket[FOLLOWED] = new Followed(socket, this);
    // From now on Node's parser reads from the socket, and not below it. A connection that the server lets go of is told of its end, too.
    socket.on('data', onData).on('close', onClose);
  }

  /** No request follows: the connection has become something else. */
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

  /** @param hasRequest Whether a request came before: nothing may stand before its answer. */
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
  /** Made for the first head that is not whole. */
  #hold: Hold | undefined;
  /** The request whose body is still coming. Others are not kept: a kept connection would hold the head of its last request. */
  #request: IncomingMessage | undefined;
  #hasRequest = false;
  /** The lengths of the bodies of requests whose heads ended within the bytes that come next; undefined where none is declared. */
  #begun: (number | undefined)[] = [];
  /** How much of the body in which they begin is still to come: 0 where they begin in none, undefined where nobody knows. */
  #bodyLeftBytes: number | undefined = 0;
  /** The last bytes of a head that is not whole: its empty line may be cut. */
  #tail: Buffer = NO_BYTES;

  constructor(socket: Socket, heads: HeldHeads) {
    this.#socket = socket;
    this.#heads = heads;
  }

  begun(request: IncomingMessage): void {
    this.#request = request;
    this.#hasRequest = true;
    this.#begun.push(bodyBytes(request.headers));
  }

  /** The parser has read these bytes. */
  received(chunk: Buffer): void {
    const isBody = this.#request?.complete === false;
    const isNew = this.#bodyLeftBytes !== 0 || this.#begun.length > 0;
    const end = isNew ? this.#requestsEnd(chunk) : 0;
    if (this.#begun.length > 0) this.#begun = [];
    if (isNew) this.#hold?.release();
    if (isBody) {
      this.#bodyLeftBytes = end === undefined ? undefined : end - chunk.length;
      this.#tail = NO_BYTES;
      return;
    }
    this.#request = undefined;
    this.#bodyLeftBytes = 0;
    const rest = chunk.subarray(end ?? endAfter(chunk.lastIndexOf(HEAD_END)));
    this.#tail = rest.length >= CUT_MAX_BYTES || (isNew && rest.length > 0) ? Buffer.from(rest.subarray(-CUT_MAX_BYTES)) : isNew ? NO_BYTES : Buffer.concat([this.#tail, rest]).subarray(-CUT_MAX_BYTES);
    if (rest.length === 0 || this.#hold?.isTakenBack === true) return;
    this.#hold ??= this.#heads.newHold(this.#socket, () => this.#refuse());
    if (!this.#hold.grow(takenBy(rest))) this.#refuse();
  }

  /** The end of the last request that these bytes have a part of, perhaps beyond them; undefined where that cannot be told. */
  #requestsEnd(chunk: Buffer): number | undefined {
    let end = this.#bodyLeftBytes;
    let tail = this.#tail;
    for (const bytes of this.#begun) {
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

/** The declared length of a body. It is 0 without a body, and undefined for one in chunks. */
function bodyBytes({ 'content-length': length, 'transfer-encoding': coding }: IncomingHttpHeaders): number | undefined {
  if (coding !== undefined) return undefined;
  return length === undefined ? 0 : Number(length);
}

/** Where a head ends that begins at a place, or began with the bytes before; undefined where there is no such end. */
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

/** Where the bytes begin that follow the empty line at a place; 0 where there is none. */
function endAfter(at: number): number {
  return at === -1 ? 0 : at + HEAD_END.length;
}

/** The memory that a part of a head takes. Bytes. */
function takenBy(part: Uint8Array): number {
  let lines = 0;
  for (const byte of part) if (byte === LF) lines++;
  return TEXT_FACTOR * part.length + HEADER_OBJECTS_BYTES * lines;
}
