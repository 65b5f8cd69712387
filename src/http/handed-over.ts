import type { Socket } from 'node:net';
import type { Admission } from './admission/admission.ts';

/** The state that the fast path hands over with a connection. It belongs to the first request there. */
export interface HandedOver {
  /** The decision about the request; undefined if the fast path did not ask for one. */
  readonly admission?: Admission | undefined;
  /** Takes the connection back after the answer, if nothing followed the request. */
  readonly takeBack?: () => void;
}

const handedOver = new WeakMap<Socket, HandedOver>();

export function handOver(socket: Socket, along: HandedOver): void {
  handedOver.set(socket, along);
}

/** Returns the state once, for the first request after the handover; undefined for every other request. */
export function takeHandedOver(socket: Socket): HandedOver | undefined {
  const along = handedOver.get(socket);
  if (along !== undefined) handedOver.delete(socket);
  return along;
}
