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

/** A property of the socket costs less than a map does. */
const FOLLOWED = Symbol('followed');

interface FollowedSocket extends Socket {
  [FOLLOWED]?: Followed | undefined;
}

/**
 * Counts heads that are still arriving at the HTTP server, also those that follow a request under way. Its parser keeps up to 64 KiB of each, and no event tells of it.
 * When there is no room, the address that holds most loses its newest connection.
 *
 * The parser does not tell where a request ends. But an incomplete head contains no empty line, so the bytes after the last empty line are counted.
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

  /** The HTTP server has let go of a connection, and nobody was told of its end: what arrives now is no head. */
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

  constructor(socket: Socket, heads: HeldHeads) {
    this.#socket = socket;
    this.#heads = heads;
  }

  begun(request: IncomingMessage): void {
    this.#request = request;
    this.#isNew = true;
  }

  /** The parser has read these bytes. */
  received(chunk: Buffer): void {
    const isNew = this.#isNew;
    const isBody = this.#request?.complete === false;
    this.#isNew = isBody;
    if (isNew) this.#hold?.release();
    if (isBody || this.#hold?.isTakenBack === true) return;
    const end = isNew ? chunk.lastIndexOf(HEAD_END) : -1;
    const bytes = takenBy(end === -1 ? chunk : chunk.subarray(end + HEAD_END.length));
    if (bytes === 0) return;
    this.#hold ??= this.#heads.newHold(this.#socket, () => this.#refuse());
    if (!this.#hold.grow(bytes)) this.#refuse();
  }

  #refuse(): void {
    this.#heads.refuse(this.#socket, this.#request !== undefined);
  }

  release(): void {
    this.#hold?.release();
  }
}

/** What so much of a head takes. Bytes. */
function takenBy(part: Uint8Array): number {
  let lines = 0;
  for (const byte of part) if (byte === LF) lines++;
  return TEXT_FACTOR * part.length + HEADER_OBJECTS_BYTES * lines;
}
