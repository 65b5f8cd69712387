import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isLoopback } from './loopback.ts';
import { WrongValue } from './setting-kinds.ts';

/**
 * Reads the keys that verify JSON Web Tokens. The kind of a key fixes its algorithms, whatever a token's header says: with a public key as HMAC secret,
 * everybody could sign tokens (RFC 8725, 3.1). No error repeats the value of a setting, because that may be a secret or, by mistake, a private key.
 */

/** A public key, and the names of the algorithms for which it may be used. */
export interface PublicKey {
  readonly key: KeyObject;
  readonly algorithms: readonly string[];
}

/** RFC 7518, 3.2: a key of HS256 has at least as many bits as its hash. Stops secrets that an attacker could find by trial from one token. */
const SECRET_MIN_BYTES = 32;
/** RFC 7518, 3.3: an RSA key has a modulus of at least 2048 bits. Stops keys that can be factored. */
const RSA_MODULUS_MIN_BYTES = 256;

/** Secrets of examples in well-known documents. Attackers try them first. */
const PUBLISHED_SECRETS: readonly string[] = [
  'a-string-secret-at-least-256-bits-long',
  'super-secret-jwt-token-with-at-least-32-characters-long',
  '!ChangeThisMercureHubJWTSecretKey!',
];

/** The algorithms of a key, by Node's name for its kind and curve. `Ed25519` is the newer name of `EdDSA` (RFC 9864). */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  rsa: ['RS256'],
  'ec prime256v1': ['ES256'],
  ed25519: ['EdDSA', 'Ed25519'],
};

/** All algorithms of public keys. */
export const PUBLIC_KEY_ALGORITHMS: readonly string[] = Object.values(ALGORITHMS).flat();

/** Reads a secret: the UTF-8 bytes of the text, as in other JWT libraries. Throws `WrongValue`. */
export function readJwtSecret(text: string): KeyObject | undefined {
  if (text === '') return undefined;
  if (text.includes('-----BEGIN ') || text.startsWith('{') || publicKeyIn(text) !== undefined) throw new WrongValue('it is a key in PEM, JWK or DER form, and not a secret; a public key belongs in JWT_PUBLIC_KEY');
  const bytes = Buffer.from(text);
  if (bytes.length < SECRET_MIN_BYTES) throw new WrongValue(`it is shorter than ${SECRET_MIN_BYTES} bytes; make one with "openssl rand -hex 32"`);
  if (PUBLISHED_SECRETS.includes(text)) throw new WrongValue('it is the example of a well-known document, which everybody has; make one with "openssl rand -hex 32"');
  return createSecretKey(bytes);
}

/** Reads a public key: PEM, JWK, or base64 of DER; or `file:` and the path of a file with one of these. Throws `WrongValue`. */
export function readJwtPublicKey(text: string): PublicKey | undefined {
  if (text === '') return undefined;
  // On many platforms a variable has one line, in which \n stands for the end of a line.
  const source = (text.startsWith('file:') ? readKeyFile(text.slice('file:'.length)) : text).replaceAll('\\n', '\n').trim();
  if (source.includes('PRIVATE KEY-----')) throw new WrongValue('it is a private key; only the public key that belongs to it is needed here');
  if (source.startsWith('{')) return readPublicJwk(parseJwk(source));
  const key = source.includes('-----BEGIN ') ? attempt(() => createPublicKey({ key: source, format: 'pem' })) : publicKeyIn(source);
  if (key === undefined) throw new WrongValue('it is not a public key; it must be PEM (-----BEGIN PUBLIC KEY-----), a JWK ({"kty":…}), or file:<path of one of these>');
  return checked(key);
}

/** Reads one key of a key set (RFC 7517). Throws `WrongValue`, whose reason repeats nothing of the key. */
export function readPublicJwk(jwk: JsonWebKey & { readonly use?: unknown; readonly key_ops?: unknown; readonly alg?: unknown }): PublicKey {
  if (Object.hasOwn(jwk, 'd')) throw new WrongValue('it is a private key; only the public key that belongs to it is needed here');
  if (Object.hasOwn(jwk, 'keys')) throw new WrongValue('it is a set of keys; it must be one key, and JWT_JWKS_URL names a set');
  if (jwk.kty === 'oct') throw new WrongValue('it is a secret, and not a public key');
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new WrongValue('it is not for signatures');
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) throw new WrongValue('it is not for the verification of signatures');
  const key = attempt(() => createPublicKey({ key: jwk, format: 'jwk' }));
  if (key === undefined) throw new WrongValue('it is not a public key that is supported');
  const read = checked(key);
  if (jwk.alg !== undefined && !read.algorithms.some((algorithm) => algorithm === jwk.alg)) throw new WrongValue(`it is for another algorithm than ${PUBLIC_KEY_ALGORITHMS.join(', ')}`);
  return read;
}

/** Reads the URL of a key set. It must be https, or of this machine: an attacker who changes the answer could sign tokens. Throws `WrongValue`. */
export function readJwksUrl(text: string): string | undefined {
  if (text === '') return undefined;
  const url = URL.parse(text);
  const isLocal = url?.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[(.*)\]$/, '$1'));
  if (url === null || (url.protocol !== 'https:' && !isLocal)) throw new WrongValue();
  if (url.username !== '' || url.password !== '') throw new WrongValue('it holds a user or a password, which cannot be sent');
  return url.href;
}

function checked(key: KeyObject): PublicKey {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  const algorithms = ALGORITHMS[`${key.asymmetricKeyType}${namedCurve === undefined ? '' : ` ${namedCurve}`}`];
  if (algorithms === undefined) throw new WrongValue('it is a key of another kind than RSA, P-256 and Ed25519');
  if (modulusLength !== undefined && modulusLength < RSA_MODULUS_MIN_BYTES * 8) throw new WrongValue(`it has fewer than ${RSA_MODULUS_MIN_BYTES * 8} bits`);
  return { key, algorithms };
}

/** Reads base64 of DER, as some consoles show a public key: PEM without its first and last line. */
function publicKeyIn(text: string): KeyObject | undefined {
  return attempt(() => createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' }));
}

function parseJwk(source: string): JsonWebKey {
  try {
    return JSON.parse(source) as JsonWebKey;
  } catch {
    throw new WrongValue('it begins like a JWK, and is not JSON');
  }
}

function readKeyFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new WrongValue(`the file that it names cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}

/** Returns undefined for a key that cannot be read. OpenSSL's errors name its parsers, not the mistake, so they are dropped. */
function attempt(make: () => KeyObject): KeyObject | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
