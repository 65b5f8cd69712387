import type { Socket } from 'node:net';
import type { Admission } from './admission.ts';

/** Admissions of requests that the fast path hands over, until the ordinary way comes to them. */
const admissions = new WeakMap<Socket, Admission>();

/** The next request that the HTTP server reads from this socket was admitted already. */
export function handOver(socket: Socket, admission: Admission): void {
  admissions.set(socket, admission);
}

/** The admission of the first request after the hand-over; undefined for every other one. */
export function takeHandedOver(socket: Socket): Admission | undefined {
  const admission = admissions.get(socket);
  if (admission !== undefined) admissions.delete(socket);
  return admission;
}
