import type { Socket } from 'node:net';
import type { Admission } from './admission/admission.ts';

/** The state that goes with the first request of a connection that the fast path hands over. */
export interface HandedOver {
  /** The decision about the request; undefined where nobody asked. */
  readonly admission?: Admission | undefined;
  /** Takes the connection back after the answer, if nothing followed the request. */
  readonly takeBack?: () => void;
}

const handedOver = new WeakMap<Socket, HandedOver>();

export function handOver(socket: Socket, along: HandedOver): void {
  handedOver.set(socket, along);
}

/** The bytes that came with the first request after the hand-over; undefined for every other request. */
export function takeHandedOver(socket: Socket): HandedOver | undefined {
  const along = handedOver.get(socket);
  if (along !== undefined) handedOver.delete(socket);
  return along;
}
