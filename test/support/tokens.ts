import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { readConfig } from '../../src/config/config.ts';
import { JwtVerifier } from '../../src/access/tokens/jwt.ts';
import { TokenRefused } from '../../src/access/tokens/token-refused.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { Logger } from '../../src/runtime/logging/logger.ts';
import { TestClock } from './clock.ts';
import { quietLogger } from './logger.ts';

/** The time of the tokens that tests make: milliseconds since 1970. */
export const NOW = 1_800_000_000_000;
export const SECONDS = NOW / 1000;
export const SECRET = 'correct horse battery staple, and another horse';

/** Header and payload are objects, or any other text as it is: nothing keeps a test from making what no library makes. */
type Part = string | object;

export interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const RSA: Pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const EC: Pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const ED: Pair = generateKeyPairSync('ed25519');

/** Claims of a good token. What is given changes them; undefined leaves one out. */
export function claims(changes: object = {}): object {
  return { sub: 'alice', iat: SECONDS - 10, exp: SECONDS + 3600, tidings: { publish: ['news'], subscribe: ['user.{sub}.>'] }, ...changes };
}

/** A token that is signed with a secret or a private key, whatever its header says. */
export function token(header: Part, payload: Part, key: string | Buffer | KeyObject): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${signature(input, key).toString('base64url')}`;
}

export function hs256(payload: Part = claims(), header: object = {}, key: string | Buffer = SECRET): string {
  return token({ alg: 'HS256', typ: 'JWT', ...header }, payload, key);
}

export function rs256(payload: Part = claims(), header: object = {}, key = RSA.privateKey): string {
  return token({ alg: 'RS256', typ: 'JWT', ...header }, payload, key);
}

export function encode(part: Part): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

function signature(input: string, key: string | Buffer | KeyObject): Buffer {
  if (typeof key === 'string' || Buffer.isBuffer(key)) return createHmac('sha256', key).update(input).digest();
  if (key.asymmetricKeyType === 'ed25519') return sign(null, Buffer.from(input), key);
  return sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}

export function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }) as string;
}

export interface VerifierParts {
  readonly clock?: Clock;
  readonly now?: () => number;
  readonly logger?: Logger;
  readonly counters?: Counters;
}

/** A verifier with such settings, at the time of the tokens. */
export function verifier(settings: Readonly<Record<string, string>>, { clock = new TestClock(), now = () => NOW, logger = quietLogger, counters = new Counters() }: VerifierParts = {}): JwtVerifier {
  return new JwtVerifier({ config: readConfig(settings, { dotenv: false }), clock, now, logger, counters });
}

/** Why a token is refused. Fails if it is accepted, or if anything else is thrown. */
export async function refused(jwt: JwtVerifier, text: string): Promise<TokenRefused> {
  try {
    await jwt.verify(text);
  } catch (error) {
    if (error instanceof TokenRefused) return error;
    throw error;
  }
  throw new Error('The token was accepted');
}
