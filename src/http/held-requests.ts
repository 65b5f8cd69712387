import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Budget } from '../runtime/budget.ts';
import { UntilAnswered } from './output/until-answered.ts';

/** A head up to here counts for nothing: the bound of connections bounds those. Stops ordinary requests from being refused because of long ones. */
const FREE_HEAD_BYTES = 8 * 1024;

/** What a request holds besides its head, about: the objects of the HTTP server and of the framework. */
const REQUEST_OBJECTS_BYTES = 8 * 1024;

/**
 * Counts what requests of the ordinary way hold besides their bodies, until they are answered: long heads, and requests that were sent before those
 * before them on the connection were answered. A long poll may hold thousands of those up.
 */
export class HeldRequests {
  readonly #held: UntilAnswered;

  constructor(budget: Budget) {
    this.#held = new UntilAnswered(budget);
  }

  /** Whether there is room for a request. */
  admit(request: IncomingMessage, response: ServerResponse): boolean {
    const head = Math.max(0, headBytes(request) - FREE_HEAD_BYTES);
    const bytes = isWaiting(response) ? head + REQUEST_OBJECTS_BYTES : head;
    return bytes === 0 || this.#held.take(request.socket, response, bytes);
  }
}

/** Whether the answer has to wait for those to earlier requests: Node gives it the connection then. */
export function isWaiting(response: ServerResponse): boolean {
  return response.socket === null;
}

function headBytes({ url = '', rawHeaders }: IncomingMessage): number {
  let bytes = url.length;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}
