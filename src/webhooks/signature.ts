import { createHmac, randomBytes } from 'node:crypto';
import { Problem } from '../model/problem.ts';

/** Signatures of Standard Webhooks (https://www.standardwebhooks.com, symmetric, `v1`). A receiver can verify the sender and the body, and refuse replays. */

const PREFIX = 'whsec_';
/** The random bytes of a new secret; the specification wants 24 to 64. */
const SIGNING_SECRET_BYTES = 32;
const SIGNING_SECRET_MIN_BYTES = 24;
const SIGNING_SECRET_MAX_BYTES = 64;

export interface SigningSecret {
  readonly secret: string;
  /** When an old secret ends, after a rotation with an overlap; absent for the newest. Milliseconds since 1970. */
  readonly until?: number;
}

export function makeSecret(): string {
  return `${PREFIX}${randomBytes(SIGNING_SECRET_BYTES).toString('base64')}`;
}

/** Checks a secret of an administrator: `whsec_` and base64. @throws Problem that does not quote it */
export function readSecret(value: unknown): string {
  const base64 = typeof value === 'string' && value.startsWith(PREFIX) ? value.slice(PREFIX.length) : undefined;
  const bytes = base64 === undefined ? undefined : Buffer.from(base64, 'base64');
  if (bytes === undefined || bytes.toString('base64') !== base64 || bytes.length < SIGNING_SECRET_MIN_BYTES || bytes.length > SIGNING_SECRET_MAX_BYTES) {
    throw new Problem('invalid-request', `secret is not valid: it must be ${PREFIX} and ${SIGNING_SECRET_MIN_BYTES} to ${SIGNING_SECRET_MAX_BYTES} bytes as base64; without it one is made.`, { field: 'secret' });
  }
  return value as string;
}

/** The headers of a delivery, with a signature for each valid secret. @param now Milliseconds since 1970. */
export function signatureHeaders(id: string, body: Uint8Array, secrets: readonly SigningSecret[], now: number): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(now / 1000));
  const signatures = secrets.filter(({ until }) => until === undefined || until > now).map(({ secret }) => {
    const digest = createHmac('sha256', Buffer.from(secret.slice(PREFIX.length), 'base64')).update(`${id}.${timestamp}.`).update(body).digest('base64');
    return `v1,${digest}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
