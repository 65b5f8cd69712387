import type { JWTPayload } from 'jose';
import { PERMISSION_MAX_PATTERNS } from '../../model/permissions.ts';
import { Problem } from '../../model/problem.ts';
import { META_MAX_BYTES } from '../../presence/member.ts';
import { expandPattern } from './subject-template.ts';
import { TokenRefused } from './token-refused.ts';
import type { Verified } from './verified-tokens.ts';

/** How far the clocks of an issuer and of this host may be apart. */
export const CLOCK_TOLERANCE_SECONDS = 60;

/** The longest subject or token id (OpenID Connect Core, 2). Stops names that fill topics, log lines and tables. */
const NAME_MAX_BYTES = 255;
/** The end of the year 9999. A time in milliseconds is later. */
const TIME_MAX_SECONDS = 253_402_300_799;

export interface ClaimRules {
  /** The name of the claim that holds the permissions. */
  readonly claim: string;
  /** The most between `iat` and `exp`. */
  readonly maxSeconds: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * Reads the claims of a token (RFC 7519, 4). Its signature, issuer, audience, `nbf` and `exp` have been checked.
 * @throws TokenRefused
 */
export function readClaims(claims: JWTPayload, { claim, maxSeconds, now }: ClaimRules): Verified {
  const subject = readName(claims.sub, 'sub');
  const issued = readTime(claims.iat, 'iat');
  const end = readTime(claims.exp, 'exp');
  if (issued * 1000 > now + CLOCK_TOLERANCE_SECONDS * 1000) throw bad('iat: it is in the future');
  if (end <= issued) throw bad('exp: it is not after iat');
  // Without a bound, revocations would have to be kept for ever.
  if (end - issued > maxSeconds) throw bad(`exp: it is more than JWT_MAX_SECONDS after iat, which is ${maxSeconds}`);
  const expires = Math.floor((end + CLOCK_TOLERANCE_SECONDS) * 1000);
  if (expires <= now) throw new TokenRefused('expired', 'it has expired');
  return {
    subject, expires,
    issuedAt: Math.floor(issued * 1000),
    tokenId: claims.jti === undefined ? undefined : readName(claims.jti, 'jti'),
    ...readClaim(Object.hasOwn(claims, claim) ? claims[claim] : {}, subject, claim),
  };
}

/** An unknown member is refused: it may be a restriction that this version does not know. */
function readClaim(value: unknown, subject: string, claim: string): Pick<Verified, 'permissions' | 'meta'> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${claim}: it is not an object`);
  const { publish = [], subscribe = [], erase = [], presence = [], meta, admin = false, operate = false, ...unknown } = value as Readonly<Record<string, unknown>>;
  if (Object.keys(unknown).length > 0) throw bad(`${claim}: it has a member other than publish, subscribe, erase, presence, meta, admin and operate`);
  if (typeof admin !== 'boolean') throw bad(`${claim}.admin: it is not true or false`);
  if (typeof operate !== 'boolean') throw bad(`${claim}.operate: it is not true or false`);
  const erased = readPatterns(erase, subject, `${claim}.erase`);
  const seen = readPatterns(presence, subject, `${claim}.presence`);
  const permissions = { publish: readPatterns(publish, subject, `${claim}.publish`), subscribe: readPatterns(subscribe, subject, `${claim}.subscribe`), ...(erased.length === 0 ? {} : { erase: erased }), ...(seen.length === 0 ? {} : { presence: seen }), admin, operate };
  return { permissions, meta: meta === undefined ? undefined : readMeta(meta, `${claim}.meta`) };
}

/** The metadata of the subject that others see. */
function readMeta(value: unknown, field: string): string {
  const meta = JSON.stringify(value);
  if (Buffer.byteLength(meta) > META_MAX_BYTES) throw bad(`${field}: it is longer than ${META_MAX_BYTES} bytes`);
  return meta;
}

function readPatterns(value: unknown, subject: string, field: string): string[] {
  if (!Array.isArray(value)) throw bad(`${field}: it is not an array`);
  if (value.length > PERMISSION_MAX_PATTERNS) throw bad(`${field}: it has more than ${PERMISSION_MAX_PATTERNS} patterns`);
  return value.map((template: unknown, index) => {
    const place = `${field}[${index}]`;
    if (typeof template !== 'string') throw bad(`${place}: it is not a text`);
    try {
      return expandPattern(template, subject, place);
    } catch (error) {
      throw error instanceof Problem ? bad(`${place}: ${error.message}`) : error;
    }
  });
}

function readName(value: unknown, name: string): string {
  const problem = nameProblem(value);
  if (problem !== undefined) throw bad(`${name}: ${problem}`);
  return value as string;
}

/** Why a value is no subject and no token id; undefined where it may be one. */
export function nameProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'it is not a text';
  // If an application forgot to fill in the subject, all its users would share the topics of one.
  if (value === '') return 'it is empty';
  // PostgreSQL stores none.
  if (value.includes('\0')) return 'it holds a NUL';
  if (!value.isWellFormed()) return 'it is not well-formed Unicode';
  return Buffer.byteLength(value) > NAME_MAX_BYTES ? `it is longer than ${NAME_MAX_BYTES} bytes` : undefined;
}

/** Seconds since 1970; RFC 7519, 2 allows fractions. */
function readTime(value: unknown, name: string): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= TIME_MAX_SECONDS)) throw bad(`${name}: it is not a number of seconds since 1970`);
  return value;
}

function bad(reason: string): TokenRefused {
  return new TokenRefused('bad', reason);
}
