import { Socket } from 'node:net';

/** The one object that handles the events of a socket. When a socket changes its owner, the listeners stay: replacing them would cost more than most requests do. */
export interface SocketOwner {
  received(bytes: Buffer): void;
  /** The client has closed its side. */
  ended(): void;
  /** Nothing was read or written for the time of `Socket.setTimeout`. */
  idle(): void;
  /** The socket takes more, after a write that it did not take at once. */
  drained(): void;
  closed(): void;
}

const OWNER = Symbol('owner');

interface OwnedSocket extends Socket {
  [OWNER]?: SocketOwner;
}

/** Makes `owner` the owner of a socket. Errors have no method, because `closed` follows each. */
export function own(socket: OwnedSocket, owner: SocketOwner): void {
  const isFirst = socket[OWNER] === undefined;
  socket[OWNER] = owner;
  if (isFirst) socket.on('data', onData).on('end', onEnd).on('timeout', onTimeout).on('drain', onDrain).on('close', onClose).on('error', onError);
}

/** Removes the owner and its listeners, for code with listeners of its own. The socket is paused until that code resumes it. */
export function disown(socket: OwnedSocket): void {
  socket.pause();
  socket.off('data', onData).off('end', onEnd).off('timeout', onTimeout).off('drain', onDrain).off('close', onClose).off('error', onError);
  delete socket[OWNER];
}

/** The property in which Node keeps the timer of `Socket.setTimeout`, even an ended one; undefined in a version of Node that uses another. */
const TIMER = Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === 'timeout');

/** Ends the timer of a socket that may be quiet for ever. Node would keep some 200 bytes of it for each stream. */
export function endTimer(socket: Socket): void {
  socket.setTimeout(0);
  if (TIMER !== undefined) Reflect.set(socket, TIMER, null);
}

function onData(this: OwnedSocket, bytes: Buffer): void {
  this[OWNER]!.received(bytes);
}

function onEnd(this: OwnedSocket): void {
  this[OWNER]!.ended();
}

function onTimeout(this: OwnedSocket): void {
  this[OWNER]!.idle();
}

function onDrain(this: OwnedSocket): void {
  this[OWNER]!.drained();
}

function onClose(this: OwnedSocket): void {
  this[OWNER]!.closed();
}

function onError(): void {
  // The connection is lost.
}
