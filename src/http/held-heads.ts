import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Hold, type Budget } from '../runtime/budget.ts';
import { holderOf } from './holder.ts';
import { NO_ROOM_FOR_HEAD } from './output/client-error.ts';

/** The parser keeps the bytes of a head, and makes texts of them. */
const TEXT_FACTOR = 2;

/** What a header takes besides its bytes, measured: two texts, and their places in a list that grows. */
export const HEADER_OBJECTS_BYTES = 128;

/** The first byte of each line end. */
const LF = 10;

const HEAD_END = Buffer.from('\r\n\r\n');

/** How much of an empty line may stand in other bytes than its end. */
const CUT_MAX_BYTES = HEAD_END.length - 1;

/** A property of the socket costs less than a map does. */
const FOLLOWED = Symbol('followed');

interface FollowedSocket extends Socket {
  [FOLLOWED]?: Followed | undefined;
}

/**
 * Counts heads that are still arriving at the HTTP server, also those that follow a request under way. Its parser keeps up to 64 KiB of each, and no event tells of it.
 * When there is no room, the address that holds most loses its newest connection.
 *
 * The parser does not tell where a request ends. Where its head and its Content-Length tell, the bytes after it are counted. Otherwise those after the last empty line are: an incomplete
 * head contains none, and a chunked body ends with one.
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
    // Who sends a head is not known before it is whole.
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

/** What arrives on one connection. */
class Followed {
  readonly #socket: Socket;
  readonly #heads: HeldHeads;
  /** Made for the first head that is not whole. */
  #hold: Hold | undefined;
  #request: IncomingMessage | undefined;
  /** Whether a request has begun, or ended, within the bytes that come next. */
  #isNew = false;
  /** How many heads ended within them. */
  #begun = 0;
  /** Whether they begin within a body. */
  #isInBody = false;
  /** How much of that body is still to come; undefined where that is not known. */
  #bodyLeftBytes: number | undefined;
  /** The last bytes of a head that is not whole: its empty line may be cut. */
  #tail: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, heads: HeldHeads) {
    this.#socket = socket;
    this.#heads = heads;
  }

  begun(request: IncomingMessage): void {
    this.#request = request;
    this.#isNew = true;
    this.#begun++;
  }

  /** The parser has read these bytes. */
  received(chunk: Buffer): void {
    const isNew = this.#isNew;
    const isBody = this.#request?.complete === false;
    const requestEnd = isNew ? this.#requestEnd(chunk) : undefined;
    this.#bodyLeftBytes = isBody && requestEnd !== undefined ? requestEnd - chunk.length : undefined;
    this.#isNew = isBody;
    this.#isInBody = isBody;
    this.#begun = 0;
    if (isNew) this.#hold?.release();
    const rest = isBody ? chunk.subarray(chunk.length) : chunk.subarray(requestEnd ?? (isNew ? endAfter(chunk.lastIndexOf(HEAD_END)) : 0));
    this.#tail = Buffer.concat([isNew ? rest.subarray(rest.length) : this.#tail, rest.subarray(-CUT_MAX_BYTES)]).subarray(-CUT_MAX_BYTES);
    if (rest.length === 0 || this.#hold?.isTakenBack === true) return;
    this.#hold ??= this.#heads.newHold(this.#socket, () => this.#refuse());
    if (!this.#hold.grow(takenBy(rest))) this.#refuse();
  }

  /** Where the only request of these bytes ends, perhaps beyond them; undefined where that cannot be told. */
  #requestEnd(chunk: Buffer): number | undefined {
    if (this.#begun === 0) return this.#bodyLeftBytes;
    const { 'content-length': length, 'transfer-encoding': coding } = this.#request!.headers;
    if (this.#begun > 1 || this.#isInBody || length === undefined || coding !== undefined) return undefined;
    const cut = Buffer.concat([this.#tail, chunk.subarray(0, CUT_MAX_BYTES)]).indexOf(HEAD_END);
    const headEnd = cut === -1 ? endAfter(chunk.indexOf(HEAD_END)) : endAfter(cut) - this.#tail.length;
    return headEnd + Number(length);
  }

  #refuse(): void {
    this.#heads.refuse(this.#socket, this.#request !== undefined);
  }

  release(): void {
    this.#hold?.release();
  }
}

/** Where the bytes begin that follow the empty line at a place; 0 where there is none. */
function endAfter(at: number): number {
  return at === -1 ? 0 : at + HEAD_END.length;
}

/** What so much of a head takes. Bytes. */
function takenBy(part: Uint8Array): number {
  let lines = 0;
  for (const byte of part) if (byte === LF) lines++;
  return TEXT_FACTOR * part.length + HEADER_OBJECTS_BYTES * lines;
}
