import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isLoopback } from './loopback.ts';
import { WrongValue } from './setting-kinds.ts';

/**
 * The keys that check JSON Web Tokens. A key decides which algorithms it may be used with; a token does not. A public key used as an HMAC secret would let
 * everybody sign tokens (RFC 8725, 3.1). No error repeats the value of a setting: it may be a secret or a private key, by mistake.
 */

/** A key that is published, and the names of the algorithms that it may be used with. */
export interface PublicKey {
  readonly key: KeyObject;
  readonly algorithms: readonly string[];
}

/** RFC 7518, 3.2: a key of HS256 has at least as many bits as its hash. Stops secrets that can be guessed from one token. */
const SECRET_MIN_BYTES = 32;
/** RFC 7518, 3.3: an RSA key has a modulus of at least 2048 bits. Stops keys that can be factored. */
const RSA_MODULUS_MIN_BYTES = 256;

/** Examples of well-known documents. Attackers try them first. */
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

/** Every algorithm that some public key may be used with. */
export const PUBLIC_KEY_ALGORITHMS: readonly string[] = Object.values(ALGORITHMS).flat();

/** A secret is the UTF-8 bytes of its text, as JWT libraries read it. Throws `WrongValue`. */
export function readJwtSecret(text: string): KeyObject | undefined {
  if (text === '') return undefined;
  if (text.includes('-----BEGIN ') || text.startsWith('{') || publicKeyIn(text) !== undefined) throw new WrongValue('it is a key in PEM, JWK or DER form, and not a secret; a public key belongs in JWT_PUBLIC_KEY');
  const bytes = Buffer.from(text);
  if (bytes.length < SECRET_MIN_BYTES) throw new WrongValue(`it is shorter than ${SECRET_MIN_BYTES} bytes; make one with "openssl rand -hex 32"`);
  if (PUBLISHED_SECRETS.includes(text)) throw new WrongValue('it is the example of a well-known document, which everybody has; make one with "openssl rand -hex 32"');
  return createSecretKey(bytes);
}

/** A key as PEM, as JWK, or as the base64 of its DER, or `file:` and the path of such a text. Throws `WrongValue`. */
export function readJwtPublicKey(text: string): PublicKey | undefined {
  if (text === '') return undefined;
  // Many platforms keep a variable on one line, and show the ends of lines as \n.
  const source = (text.startsWith('file:') ? readKeyFile(text.slice('file:'.length)) : text).replaceAll('\\n', '\n').trim();
  if (source.includes('PRIVATE KEY-----')) throw new WrongValue('it is a private key; only the public key that belongs to it is needed here');
  if (source.startsWith('{')) return readPublicJwk(parseJwk(source));
  const key = source.includes('-----BEGIN ') ? attempt(() => createPublicKey({ key: source, format: 'pem' })) : publicKeyIn(source);
  if (key === undefined) throw new WrongValue('it is not a public key; it must be PEM (-----BEGIN PUBLIC KEY-----), a JWK ({"kty":…}), or file:<path of one of these>');
  return checked(key);
}

/** One key of a key set (RFC 7517). Throws `WrongValue` with a reason that repeats nothing of it. */
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

/** The URL of a key set. Its keys decide who may do what, so the connection must be safe from changes. Throws `WrongValue`. */
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

/** A public key as some consoles show it: base64 of its DER, without the lines of PEM around it. */
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

/** OpenSSL's errors name its parsers, not the mistake. */
function attempt(make: () => KeyObject): KeyObject | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
