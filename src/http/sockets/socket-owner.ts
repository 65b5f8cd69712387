import { Socket } from 'node:net';

/** The owner of a socket is told what happens on it. A socket changes hands without a change of listeners: that would cost more than most requests do. */
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

/** Makes `owner` the owner of a socket. It is not told of errors: `closed` follows them. */
export function own(socket: OwnedSocket, owner: SocketOwner): void {
  const isFirst = socket[OWNER] === undefined;
  socket[OWNER] = owner;
  if (isFirst) socket.on('data', onData).on('end', onEnd).on('timeout', onTimeout).on('drain', onDrain).on('close', onClose).on('error', onError);
}

/** Leaves the socket to code that does not know of owners. Nothing is read until that code listens and resumes the socket. */
export function disown(socket: OwnedSocket): void {
  socket.pause();
  socket.off('data', onData).off('end', onEnd).off('timeout', onTimeout).off('drain', onDrain).off('close', onClose).off('error', onError);
  delete socket[OWNER];
}

/** Where Node keeps the timer of `Socket.setTimeout`, also when it has ended; undefined where a version of Node keeps it elsewhere. */
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
