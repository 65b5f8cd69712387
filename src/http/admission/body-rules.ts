import type { Config } from '../../config/config.ts';
import { Problem } from '../../model/problem.ts';
import { ENDPOINTS, type Endpoint } from './endpoints.ts';
import { batchProblem } from '../input/batch-body.ts';
import { bodyTooLarge } from '../input/body.ts';
import { contentProblem } from '../input/content-headers.ts';
import type { RequestHead } from './request-head.ts';
import type { Premises } from './rule.ts';
import { BODY_MAX_BYTES } from './server-limits.ts';

/**
 * The rules about the body that a request's head announces: its length is known, it is short enough, and the endpoint takes its kind. `RULES` (admission.ts)
 * has them in order. The bytes themselves are read later (input/).
 */

/** RFC 9110, section 10.1.1. HTTP/1.0 has no expectations, so the header is ignored there. */
export function expectation({ headers: { expect }, httpVersion }: RequestHead): Problem | undefined {
  if (expect === undefined || httpVersion === '1.0' || expect.toLowerCase() === '100-continue') return undefined;
  return new Problem('expectation-failed', 'The only valid value of Expect is 100-continue.', { field: 'Expect' });
}

/**
 * Whether the headers announce a body without its length. By RFC 9112, section 6.3, such a request has no body. So an empty message would be stored, and the parser
 * would take the bytes of the body for the next request.
 */
export function lacksLength({ endpoint, headers }: RequestHead): boolean {
  if (endpoint?.body === undefined || headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return false;
  return headers['content-type'] !== undefined || headers.expect !== undefined;
}

export function lengthMissing(request: RequestHead): Problem | undefined {
  if (!lacksLength(request)) return undefined;
  return new Problem('length-required', 'The headers announce a body, but neither Content-Length nor Transfer-Encoding: chunked gives its length. For an empty body send Content-Length: 0.', { field: 'Content-Length' });
}

export function contentHeaders({ endpoint, headers }: RequestHead): Problem | undefined {
  if (endpoint?.body === undefined) return undefined;
  return contentProblem(headers) ?? (endpoint === ENDPOINTS.publishBatch ? batchProblem(headers) : undefined);
}

/** Without a declared length, `collectBody` measures the body as it arrives. */
export function bodyLength({ endpoint, headers }: RequestHead, { config }: Premises): Problem | undefined {
  if (endpoint?.body === undefined) return undefined;
  const maxBytes = bodyMaxBytes(endpoint, config);
  return Number(headers['content-length'] ?? 0) > maxBytes ? bodyTooLarge(maxBytes, settingOf(endpoint)) : undefined;
}

/** The setting that bounds the body of an endpoint; undefined if a constant does. */
export function settingOf(endpoint: Endpoint | undefined): string | undefined {
  return typeof endpoint?.body === 'string' ? endpoint.body : undefined;
}

/** The largest body that an endpoint takes, in bytes. */
export function bodyMaxBytes(endpoint: Endpoint | undefined, config: Config): number {
  if (endpoint?.body === undefined) return BODY_MAX_BYTES;
  return typeof endpoint.body === 'number' ? endpoint.body : config[endpoint.body];
}
