import Negotiator from 'negotiator';
import { Problem } from '../../model/problem.ts';
import { readMember } from '../input/member-query.ts';
import { NOBODY } from './access-rules.ts';
import type { RequestHead } from './request-head.ts';
import type { Premises, Sender } from './rule.ts';
import { asksForWebSocket, wrongHandshakeHeader } from './upgrade.ts';

/** The rules about requests that open a stream, as Server-Sent Events or as a WebSocket. */

/** The handshake of a WebSocket (RFC 6455, section 4.2.1). */
export function handshake(request: RequestHead): Problem | undefined {
  if (request.endpoint?.isStream !== true || !asksForWebSocket(request)) return undefined;
  const wrong = wrongHandshakeHeader(request);
  return wrong === undefined ? undefined : new Problem('invalid-request', `The handshake of a WebSocket is not valid: ${wrong.field}: ${wrong.why}.`, { field: wrong.field });
}

/** Sets `sender.member` for a stream. */
export function membership({ endpoint, query }: RequestHead, _premises: Premises, sender: Sender): Problem | undefined {
  if (endpoint?.isStream === true) sender.member = readMember(query, sender.identity ?? NOBODY);
  return undefined;
}

/** `$presence` is a control event. */
export function presenceWithoutControl({ endpoint, query }: RequestHead): Problem | undefined {
  if (endpoint?.isStream !== true || query['presence'] !== '1' || query['control'] !== '0') return undefined;
  return new Problem('invalid-request', 'presence=1 needs control events; remove control=0.', { field: 'presence' });
}

/** A draining instance still serves publishes and reads. It refuses only new streams. */
export function drain({ endpoint }: RequestHead, { draining }: Premises): Problem | undefined {
  return draining && endpoint?.isStream === true ? new Problem('unavailable', 'This instance is about to end.') : undefined;
}

const EVENT_STREAM = 'text/event-stream';
/** Common values of `Accept` that allow an event stream. A lookup costs less than a negotiation. */
const USUAL_ACCEPTS: readonly (string | undefined)[] = [undefined, '', EVENT_STREAM, '*/*'];

/** RFC 9110, section 12.5.1. */
export function accepted(request: RequestHead): Problem | undefined {
  const { endpoint, headers } = request;
  if (endpoint?.isStream !== true || USUAL_ACCEPTS.includes(headers.accept) || asksForWebSocket(request)) return undefined;
  if (new Negotiator({ headers }).mediaType([EVENT_STREAM]) !== undefined) return undefined;
  return new Problem('not-acceptable', 'The header Accept excludes text/event-stream, the only type of a stream.', { field: 'Accept' });
}
