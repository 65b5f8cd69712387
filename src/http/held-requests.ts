import type { IncomingMessage, ServerResponse } from 'node:http';
import type { BlockList } from 'node:net';
import type { Budget } from '../runtime/sharing/budget.ts';
import { clientAddress } from './admission/client-address.ts';
import { FREE_HEAD_BYTES, HEADER_OBJECTS_BYTES } from './held-heads.ts';
import { holderOf } from './admission/holder.ts';
import { UntilAnswered } from './output/until-answered.ts';

/** About the memory of a request besides its head: the objects of the HTTP server and of the framework. */
const REQUEST_OBJECTS_BYTES = 8 * 1024;

/**
 * Counts the memory of requests on the ordinary way until they are answered, besides their bodies: long heads, and requests that wait behind others on their connection.
 * Thousands may wait behind one long poll. When there is no room, the address with the most memory loses the connection with its newest request. Addresses count, because
 * the credential is not known yet.
 */
export class HeldRequests {
  readonly #held: UntilAnswered;
  readonly #trusted: BlockList | undefined;

  constructor(budget: Budget, trusted: BlockList | undefined) {
    this.#held = new UntilAnswered(budget, () => ({ waitsForUs: true }));
    this.#trusted = trusted;
  }

  /** Counts a request, and returns whether there is room for it. */
  admit(request: IncomingMessage, response: ServerResponse): boolean {
    const head = Math.max(0, headBytes(request) - FREE_HEAD_BYTES);
    const bytes = isWaiting(response) ? head + REQUEST_OBJECTS_BYTES : head;
    if (bytes === 0) return true;
    const { socket, headers } = request;
    return this.#held.take({ socket, response, holder: holderOf({ scope: '' }, () => clientAddress(headers, socket, this.#trusted), socket) }, bytes);
  }
}

/** Whether the answer must wait for the answers to earlier requests. Node gives the response its socket only after those. */
export function isWaiting(response: ServerResponse): boolean {
  return response.socket === null;
}

function headBytes({ url = '', rawHeaders }: IncomingMessage): number {
  let bytes = url.length + HEADER_OBJECTS_BYTES * rawHeaders.length / 2;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}
