import { Problem } from '../../model/problem.ts';
import { parseTime } from '../../model/rfc3339.ts';
import type { NewRevocation } from '../../store/contracts/revocation-store.ts';
import { CLOCK_TOLERANCE_SECONDS, nameProblem } from '../tokens/jwt-claims.ts';
import { members } from './key-request.ts';

/** Checks an administrator's choice of tokens to revoke. */

const TOLERANCE_MS = CLOCK_TOLERANCE_SECONDS * 1000;

export interface RevocationRules {
  /** The most between `iat` and `exp` of a token. */
  readonly maxSeconds: number;
  /** The database's clock: milliseconds since 1970. */
  readonly now: number;
}

/**
 * Reads which tokens are not good any more: `{"jti"}`, `{"sub"}` (issued until now), `{"sub", "issuedBefore"}` or `{"issuedBefore"}`.
 * @throws Problem that names the member
 */
export function readRevocationRequest(value: unknown, { maxSeconds, now }: RevocationRules): NewRevocation {
  const { jti, sub, issuedBefore } = members(value, ['jti', 'sub', 'issuedBefore']);
  const before = issuedBefore === undefined ? undefined : readTime(issuedBefore, now);
  // A token may have been issued by a clock that is ahead, and is accepted by one that is behind.
  const lifetimeMs = maxSeconds * 1000 + 2 * TOLERANCE_MS;
  if (jti !== undefined) {
    if (sub !== undefined || before !== undefined) throw invalid('jti', 'it names one token: leave out sub and issuedBefore');
    return { kind: 'jti', name: readName(jti, 'jti'), before: undefined, lifetimeMs };
  }
  if (sub === undefined && before === undefined) throw invalid('jti', 'name the tokens to revoke by jti, sub or issuedBefore');
  if (before !== undefined && before + lifetimeMs <= now) throw invalid('issuedBefore', 'all tokens that were issued before it have expired already');
  return sub === undefined ? { kind: 'all', name: '', before, lifetimeMs } : { kind: 'sub', name: readName(sub, 'sub'), before, lifetimeMs };
}

function readName(value: unknown, field: string): string {
  const problem = nameProblem(value);
  if (problem !== undefined) throw invalid(field, problem);
  return value as string;
}

function readTime(value: unknown, now: number): number {
  const time = typeof value === 'string' ? parseTime(value) : undefined;
  if (time === undefined || time < 0) throw invalid('issuedBefore', 'it must be a time of RFC 3339, such as 2026-11-22T10:15:30Z');
  if (time > now + TOLERANCE_MS) throw invalid('issuedBefore', 'it is in the future');
  return time;
}

function invalid(field: string, why: string): Problem {
  return new Problem('invalid-request', `${field} is not valid: ${why}.`, { field });
}
