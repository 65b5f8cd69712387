import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** How far a sender's clock may be off, and how late a request may arrive. Stops somebody from sending a request again that they have seen. */
const TOLERANCE_SECONDS = 300;

/** The signed text. */
export interface SignedRequest {
  readonly headers: IncomingHttpHeaders;
  /** As it came. */
  readonly body: Buffer;
  /** The rest of the path after the hook's name; undefined without one. */
  readonly pathSecret: string | undefined;
  /** Seconds since 1970. */
  readonly now: number;
}

/** Why a request does not come from its sender. It names the fault, and never a secret. */
export interface Forged {
  /** The header, or `path`. */
  readonly field: string;
  readonly why: string;
}

/** Says whether a request is its sender's; undefined where it is. */
export type Verify = (request: SignedRequest) => Forged | undefined;

export interface HmacOptions {
  readonly header: string;
  readonly algorithm: HmacAlgorithm;
  readonly encoding: HmacEncoding;
  /** The text before the signature: `sha256=`. */
  readonly prefix: string;
  /** The header whose text is signed before the body, with a colon between them; undefined where the body alone is signed. */
  readonly timestampHeader?: string | undefined;
}

export const HMAC_ALGORITHMS = ['sha1', 'sha256', 'sha512'] as const;
export const HMAC_ENCODINGS = ['hex', 'base64'] as const;
export type HmacAlgorithm = typeof HMAC_ALGORITHMS[number];
export type HmacEncoding = typeof HMAC_ENCODINGS[number];

const NOT_GOOD = 'it is not the signature of this body with a secret of this hook';
const MISSING = 'it is missing';

/** A signature of the body in a header (GitHub, Grafana, and most others). */
export function hmac(secrets: readonly string[], { header, algorithm, encoding, prefix, timestampHeader }: HmacOptions): Verify {
  return ({ headers, body, now }) => {
    const given = one(headers, header);
    if (given === undefined) return { field: header, why: MISSING };
    let signed: readonly (string | Buffer)[] = [body];
    if (timestampHeader !== undefined) {
      const timestamp = one(headers, timestampHeader);
      const late = timestampProblem(timestamp, timestampHeader, now);
      if (late !== undefined) return late;
      signed = [`${timestamp}:`, body];
    }
    if (!given.startsWith(prefix)) return { field: header, why: `it does not begin with ${prefix}` };
    return isAnySignature([given.slice(prefix.length)], secrets, algorithm, encoding, signed) ? undefined : { field: header, why: NOT_GOOD };
  };
}

/** `t=…,v1=…` with a time that is signed too; more than one `v1` while the sender changes its secret. */
export function stripe(secrets: readonly string[]): Verify {
  const field = 'Stripe-Signature';
  return ({ headers, body, now }) => {
    const given = one(headers, field);
    if (given === undefined) return { field, why: MISSING };
    const pairs = given.split(',').map((pair) => pair.trim().split('=', 2));
    const timestamp = pairs.find(([name]) => name === 't')?.[1];
    const late = timestampProblem(timestamp, field, now);
    if (late !== undefined) return late;
    const signatures = pairs.filter(([name]) => name === 'v1').map(([, value = '']) => value);
    return isAnySignature(signatures, secrets, 'sha256', 'hex', [`${timestamp}.`, body]) ? undefined : { field, why: NOT_GOOD };
  };
}

export function slack(secrets: readonly string[]): Verify {
  const [field, timeField, version] = ['X-Slack-Signature', 'X-Slack-Request-Timestamp', 'v0'];
  return ({ headers, body, now }) => {
    const given = one(headers, field);
    if (given === undefined) return { field, why: MISSING };
    const timestamp = one(headers, timeField);
    const late = timestampProblem(timestamp, timeField, now);
    if (late !== undefined) return late;
    if (!given.startsWith(`${version}=`)) return { field, why: `it does not begin with ${version}=` };
    return isAnySignature([given.slice(version.length + 1)], secrets, 'sha256', 'hex', [`${version}:${timestamp}:`, body]) ? undefined : { field, why: NOT_GOOD };
  };
}

/** https://www.standardwebhooks.com: the id, the time and the body are signed. */
export function standardWebhooks(secrets: readonly string[]): Verify {
  const keys = secrets.map((secret) => Buffer.from(secret.replace(/^whsec_/, ''), 'base64'));
  const field = 'webhook-signature';
  return ({ headers, body, now }) => {
    const [given, id, timestamp] = [one(headers, field), one(headers, 'webhook-id'), one(headers, 'webhook-timestamp')];
    if (given === undefined) return { field, why: MISSING };
    if (id === undefined) return { field: 'webhook-id', why: MISSING };
    const late = timestampProblem(timestamp, 'webhook-timestamp', now);
    if (late !== undefined) return late;
    const signatures = given.split(' ').filter((text) => text.startsWith('v1,')).map((text) => text.slice('v1,'.length));
    return isAnySignature(signatures, keys, 'sha256', 'base64', [`${id}.${timestamp}.`, body]) ? undefined : { field, why: NOT_GOOD };
  };
}

/** The secret itself in a header (GitLab). */
export function token(secrets: readonly string[], header: string): Verify {
  return ({ headers }) => {
    const given = one(headers, header);
    return given === undefined ? { field: header, why: MISSING } : isAnySecret(given, secrets) ? undefined : { field: header, why: 'it is not a secret of this hook' };
  };
}

/** RFC 6750. */
export function bearer(secrets: readonly string[]): Verify {
  return ({ headers: { authorization } }) => {
    const given = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return { field: 'Authorization', why: 'it is not Bearer with a secret' };
    return isAnySecret(given, secrets) ? undefined : { field: 'Authorization', why: 'it is not a secret of this hook' };
  };
}

/** RFC 7617. */
export function basic(secrets: readonly string[], user: string): Verify {
  const expected = secrets.map((secret) => `${user}:${secret}`);
  return ({ headers: { authorization } }) => {
    const given = /^basic +([A-Za-z0-9+/=]+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return { field: 'Authorization', why: 'it is not Basic with a user and a password' };
    return isAnySecret(Buffer.from(given, 'base64').toString(), expected) ? undefined : { field: 'Authorization', why: 'the user or the password is not the one of this hook' };
  };
}

/** For senders that can send nothing but a URL. */
export function path(secrets: readonly string[]): Verify {
  return ({ pathSecret }) => {
    if (pathSecret === undefined) return { field: 'path', why: 'the secret after the name of the hook is missing' };
    return isAnySecret(pathSecret, secrets) ? undefined : { field: 'path', why: 'it does not end with a secret of this hook' };
  };
}

function one(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function timestampProblem(timestamp: string | undefined, field: string, now: number): Forged | undefined {
  if (timestamp === undefined) return { field, why: 'the time is missing' };
  if (!/^\d{1,12}$/.test(timestamp)) return { field, why: 'the time is not in seconds since 1970' };
  return Math.abs(now - Number(timestamp)) > TOLERANCE_SECONDS ? { field, why: `its time is more than ${TOLERANCE_SECONDS} s from now` } : undefined;
}

function isAnySignature(given: readonly string[], secrets: readonly (string | Buffer)[], algorithm: HmacAlgorithm, encoding: HmacEncoding, signed: readonly (string | Buffer)[]): boolean {
  let isGood = false;
  for (const secret of secrets) {
    const hash = createHmac(algorithm, secret);
    for (const part of signed) hash.update(part);
    const expected = hash.digest();
    // All are compared: how long it takes tells nothing.
    for (const text of given.slice(0, SIGNATURES_MAX_ENTRIES)) {
      const bytes = Buffer.from(text, encoding);
      if (bytes.length === expected.length && timingSafeEqual(bytes, expected)) isGood = true;
    }
  }
  return isGood;
}

/** How many signatures of one request are looked at: a sender that changes its secret sends two. Stops a long header from costing a long comparison. */
const SIGNATURES_MAX_ENTRIES = 10;

/** Compared by their digests, which have one length. */
function isAnySecret(given: string, secrets: readonly string[]): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const asked = digest(given);
  return secrets.reduce((isGood, secret) => timingSafeEqual(digest(secret), asked) || isGood, false);
}
