import Negotiator from 'negotiator';
import type { IncomingHttpHeaders } from 'node:http';

const TYPES = ['application/json', 'text/html'];

/** Whether a browser asks for something to show. Programs that take anything get JSON (RFC 9110, section 12.5.1). */
export function wantsPage(headers: IncomingHttpHeaders): boolean {
  return headers.accept !== undefined && new Negotiator({ headers }).mediaType(TYPES) === 'text/html';
}
