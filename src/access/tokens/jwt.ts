import { createHash, hash } from 'node:crypto';
import { decodeProtectedHeader } from 'jose/decode/protected_header';
import { JOSEError, JWSSignatureVerificationFailed, JWTClaimValidationFailed, JWTExpired } from 'jose/errors';
import { jwtVerify } from 'jose/jwt/verify';
import type { Config } from '../../config/config.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { Jwks } from './jwks.ts';
import { CLOCK_TOLERANCE_SECONDS, readClaims } from './jwt-claims.ts';
import { jsonProblem } from './token-json.ts';
import { FixedKey, type KeyHint, type TokenKey, type TokenKeys } from './token-keys.ts';
import { TokenRefused } from './token-refused.ts';
import { VerifiedTokens, type Verified } from './verified-tokens.ts';

/**
 * This room verifies JSON Web Tokens. A token's text comes in; its claims go out, or the reason why it is refused. The keys are those of the settings or
 * of a JWKS endpoint, which `jwks.ts` asks again when a key is unknown. Verified tokens are remembered by their digest.
 */

/**
 * JSON Web Tokens (RFC 7519), verified as RFC 8725 says. jose checks the signature and the registered claims; the rest stands here and in `jwt-claims.ts`.
 */

/** The longest token. Stops work on long garbage; browsers and proxies limit header lines to about this, too. */
const TOKEN_MAX_BYTES = 8 * 1024;

/** RFC 7515, 7.1: three parts in base64url. Five would be encrypted. */
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** The values that `typ` may have. A token of another type, such as a logout token, has another purpose (RFC 8725, 3.11). */
const TYPES: readonly unknown[] = [undefined, 'jwt', 'at+jwt'];

/** Headers that change what a token means: extensions, another encoding, nesting, compression, encryption. */
const REFUSED_HEADERS = ['crit', 'b64', 'cty', 'zip', 'enc'] as const;

export type JwtConfig = Pick<Config, 'JWT_SECRET' | 'JWT_PUBLIC_KEY' | 'JWT_JWKS_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE' | 'JWT_CLAIM' | 'JWT_MAX_SECONDS'>;

export interface JwtOptions {
  readonly config: JwtConfig;
  readonly clock: Clock;
  /** The time by which tokens begin and expire: milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Logger;
  readonly counters: Pick<Counters, 'jwks'>;
}

export class JwtVerifier {
  readonly #config: JwtConfig;
  readonly #now: () => number;
  readonly #keys: TokenKeys;
  readonly #tokens = new VerifiedTokens();
  /** SHA-256 of the settings that say which tokens are good. Other settings, other tokens: sessions of those before end. */
  readonly proof: Buffer;

  /** The config names a key. */
  constructor({ config, clock, now, logger, counters }: JwtOptions) {
    this.#config = config;
    this.proof = proofOf(config);
    this.#now = now;
    this.#keys = makeKeys(config, (url) => new Jwks({ url, clock, logger, counters, now, onWithdrawn: (keys) => this.#tokens.drop(({ key }) => keys.includes(key)) }));
  }

  /** Begins to fetch keys, if they are fetched. Tokens may come before. */
  open(): void {
    this.#keys.open();
  }

  close(): void {
    this.#keys.close();
  }

  /**
   * Verifies a token: at once if it was verified before.
   * Rejects with `TokenRefused`; never throws.
   */
  verify(token: string): Verified | Promise<Verified> {
    if (token.length > TOKEN_MAX_BYTES) return Promise.reject(new TokenRefused('bad', `it is longer than ${TOKEN_MAX_BYTES} bytes`));
    const digest = hash('sha256', token, 'base64');
    return this.#tokens.get(digest, this.#now()) ?? this.#verify(token, digest);
  }

  async #verify(token: string, digest: string): Promise<Verified> {
    const { generation } = this.#tokens;
    const hint = readHeader(token, this.#keys.algorithms);
    const key = await this.#keys.find(hint);
    const verified = await this.#check(token, key);
    this.#tokens.add(digest, { verified, key }, generation);
    return verified;
  }

  async #check(token: string, { key, algorithms }: TokenKey): Promise<Verified> {
    const now = this.#now();
    const { JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_CLAIM: claim, JWT_MAX_SECONDS: maxSeconds } = this.#config;
    const { payload } = await jwtVerify(token, key, {
      algorithms: [...algorithms],
      requiredClaims: ['sub', 'iat', 'exp'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(now),
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    }).catch((error: unknown) => {
      throw refusalOf(error);
    });
    for (const [index, part] of (['header', 'payload'] as const).entries()) {
      const problem = jsonProblem(Buffer.from(token.split('.')[index]!, 'base64url').toString());
      if (problem !== undefined) throw new TokenRefused('bad', `${part}: ${problem}`);
    }
    return readClaims(payload, { claim, maxSeconds, now });
  }
}

function proofOf({ JWT_SECRET: secret, JWT_PUBLIC_KEY: publicKey, JWT_JWKS_URL: url, JWT_ISSUER: issuer, JWT_AUDIENCE: audience }: JwtConfig): Buffer {
  const key = [secret?.export().toString('hex'), publicKey?.key.export({ type: 'spki', format: 'pem' }), url];
  return createHash('sha256').update(JSON.stringify([...key, issuer, audience].map((part) => part ?? null))).digest();
}

function makeKeys({ JWT_SECRET: secret, JWT_PUBLIC_KEY: publicKey, JWT_JWKS_URL: url }: JwtConfig, makeJwks: (url: string) => Jwks): TokenKeys {
  if (url !== undefined) return makeJwks(url);
  if (publicKey !== undefined) return new FixedKey(publicKey);
  if (secret === undefined) throw new Error('No setting names a key of tokens');
  return new FixedKey({ key: secret.toCryptoKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['verify']), algorithms: ['HS256'] });
}

/** Reads and checks the header, which names the key. Its signature is not checked yet. */
function readHeader(token: string, algorithms: readonly string[]): KeyHint {
  if (!FORM.test(token)) throw new TokenRefused('bad', 'it does not have three parts in base64url');
  // Otherwise a signature has several spellings, and a token several texts.
  if (!token.split('.').every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)) throw new TokenRefused('bad', 'its base64url is not canonical');
  const header = decode(token);
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string' || !algorithms.includes(alg)) throw new TokenRefused('bad', 'alg: it is not an algorithm of the keys');
  if (kid !== undefined && typeof kid !== 'string') throw new TokenRefused('bad', 'kid: it is not a text');
  if (!TYPES.includes(typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : typ)) throw new TokenRefused('bad', 'typ: it is not JWT or at+jwt');
  const refused = REFUSED_HEADERS.find((name) => Object.hasOwn(header, name));
  if (refused !== undefined) throw new TokenRefused('bad', `${refused}: tokens with it are not accepted`);
  return { alg, kid };
}

function decode(token: string): Readonly<Record<string, unknown>> {
  try {
    return decodeProtectedHeader(token);
  } catch {
    throw new TokenRefused('bad', 'its header is not a JSON object');
  }
}

/** jose's errors hold the claims. Only their codes, and the names of claims, may reach the logger. */
function refusalOf(error: unknown): unknown {
  if (error instanceof JWTExpired) return new TokenRefused('expired', 'it has expired');
  if (error instanceof JWTClaimValidationFailed) return new TokenRefused('bad', `${error.claim}: ${error.reason === 'missing' ? 'it is missing' : error.reason === 'invalid' ? 'it has the wrong type' : 'it is not the right one'}`);
  if (error instanceof JWSSignatureVerificationFailed) return new TokenRefused('bad', 'its signature is wrong');
  return error instanceof JOSEError ? new TokenRefused('bad', error.code) : error;
}
