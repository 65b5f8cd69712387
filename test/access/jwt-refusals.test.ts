import { createHmac, generateKeyPairSync } from 'node:crypto';
import { t } from 'tap';
import type { JwtVerifier } from '../../src/access/tokens/jwt.ts';
import type { Refusal } from '../../src/access/tokens/token-refused.ts';
import { claims, EC, ED, encode, hs256, NOW, pem, refused, rs256, RSA, SECONDS, SECRET, token, verifier, type Pair } from '../support/tokens.ts';

/** Attempts that must fail: RFC 8725, and what has gone wrong elsewhere. Each has exactly one fault. */

const STRANGER: Pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const P384: Pair = generateKeyPairSync('ec', { namedCurve: 'P-384' });

const secret = verifier({ JWT_SECRET: SECRET });
const rsa = verifier({ JWT_PUBLIC_KEY: pem(RSA.publicKey) });
const ec = verifier({ JWT_PUBLIC_KEY: pem(EC.publicKey) });
const ed = verifier({ JWT_PUBLIC_KEY: pem(ED.publicKey) });
const strict = verifier({ JWT_SECRET: SECRET, JWT_ISSUER: 'https://issuer.example/', JWT_AUDIENCE: 'tidings', JWT_MAX_SECONDS: '600' });
const strictClaims = (changes: object): object => claims({ exp: SECONDS + 60, iss: 'https://issuer.example/', aud: 'tidings', ...changes });

const [header, payload, signature] = hs256().split('.') as [string, string, string];
const [, , ecSignature] = token({ alg: 'ES256' }, claims(), EC.privateKey).split('.') as [string, string, string];
const der = createHmac('sha256', RSA.publicKey.export({ type: 'spki', format: 'der' })).update(`${header}.${payload}`).digest('base64url');
const good = JSON.stringify(claims());
/** The last letter of a signature of 32 bytes has four bits, and two that mean nothing. */
const sameBytes = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('').map((letter) => signature.slice(0, -1) + letter).filter((other) => Buffer.from(other, 'base64url').equals(Buffer.from(signature, 'base64url')));
const respelt = sameBytes.find((other) => other !== signature)!;
const claiming = (changes: object): string => hs256(claims(changes));
const granting = (tidings: unknown): string => hs256(claims({ tidings }));

const ATTEMPTS: readonly (readonly [name: string, jwt: JwtVerifier, text: string, refusal: Refusal, reason: RegExp | string])[] = [
  // What is no token.
  ['nothing', secret, '', 'bad', /three parts/],
  ['two parts', secret, `${header}.${payload}`, 'bad', /three parts/],
  ['four parts', secret, `${header}.${payload}.${signature}.`, 'bad', /three parts/],
  ['five parts: an encrypted token', secret, `${encode({ alg: 'dir', enc: 'A128GCM' })}..AAAA.AAAA.AAAA`, 'bad', /three parts/],
  ['JSON serialization', secret, JSON.stringify({ protected: header, payload, signature }), 'bad', /three parts/],
  ['no signature', secret, `${header}.${payload}.`, 'bad', /three parts/],
  ['white space at the end', secret, `${hs256()}\n`, 'bad', /three parts/],
  ['white space within', secret, `${header}.${payload}. ${signature}`, 'bad', /three parts/],
  ['padding', secret, `${header}.${payload}.${signature}=`, 'bad', /three parts/],
  ['base64 of another alphabet', secret, `${header}.${payload}.${signature.slice(0, -1)}+`, 'bad', /three parts/],
  ['another spelling of the signature', secret, `${header}.${payload}.${respelt}`, 'bad', /not canonical/],
  ['a part of an impossible length', secret, `${header}.${payload}.${signature}AA`, 'bad', /not canonical|signature/],
  ['longer than 8 KiB, though it is good', secret, claiming({ x: 'x'.repeat(8192) }), 'bad', /longer than 8192 bytes/],
  ['a header that is no JSON', secret, `${encode('{"alg":"HS256"')}.${payload}.${signature}`, 'bad', /header is not/],
  ['a header that is no object', secret, token('["HS256"]', claims(), SECRET), 'bad', /header is not/],
  ['a header that is not UTF-8', secret, `${Buffer.from('{"alg":"HS256","x":"\xff"}', 'latin1').toString('base64url')}.${payload}.${signature}`, 'bad', /header is not/],
  ['claims that are no JSON', secret, hs256('{"sub":'), 'bad', /ERR_JWT_INVALID/],
  ['claims that are no object', secret, hs256('[1]'), 'bad', /ERR_JWT_INVALID/],
  ['claims that are a token: nested', secret, hs256(hs256()), 'bad', /ERR_JWT_INVALID/],

  // Algorithms.
  ['alg: none, no signature', secret, `${encode({ alg: 'none' })}.${payload}.`, 'bad', /three parts/],
  ['alg: none, with the signature', secret, token({ alg: 'none' }, claims(), SECRET), 'bad', /^alg/],
  ['alg: nOnE', secret, token({ alg: 'nOnE' }, claims(), SECRET), 'bad', /^alg/],
  ['no alg', secret, token({ typ: 'JWT' }, claims(), SECRET), 'bad', /^alg/],
  ['alg in lower case', secret, hs256(claims(), { alg: 'hs256' }), 'bad', /^alg/],
  ['alg is a list', secret, hs256(claims(), { alg: ['HS256'] }), 'bad', /^alg/],
  ['alg is the name of what every object has', secret, hs256(claims(), { alg: 'constructor' }), 'bad', /^alg/],
  ['HS512, which is not allowed', secret, hs256(claims(), { alg: 'HS512' }), 'bad', /^alg/],
  ['RS256 where a secret is set', secret, rs256(), 'bad', /^alg/],
  ['PS256 with the right key', rsa, token({ alg: 'PS256' }, claims(), RSA.privateKey), 'bad', /^alg/],
  ['RS512 with the right key', rsa, token({ alg: 'RS512' }, claims(), RSA.privateKey), 'bad', /^alg/],
  ['key confusion: the public key in PEM as HMAC secret', rsa, hs256(claims(), {}, pem(RSA.publicKey)), 'bad', /^alg/],
  ['key confusion: the public key in PEM without its last line end', rsa, hs256(claims(), {}, pem(RSA.publicKey).trim()), 'bad', /^alg/],
  ['key confusion: the DER of the public key as HMAC secret', rsa, `${header}.${payload}.${der}`, 'bad', /^alg/],
  ['key confusion with a P-256 key', ec, hs256(claims(), {}, pem(EC.publicKey)), 'bad', /^alg/],
  ['key confusion with an Ed25519 key: its 32 bytes as secret', ed, hs256(claims(), {}, Buffer.from(ED.publicKey.export({ format: 'jwk' }).x!, 'base64url')), 'bad', /^alg/],
  ['the algorithm of another kind of key', rsa, token({ alg: 'ES256' }, claims(), EC.privateKey), 'bad', /^alg/],
  ['ES256 with a signature of zeros (CVE-2022-21449)', ec, `${encode({ alg: 'ES256' })}.${payload}.${Buffer.alloc(64).toString('base64url')}`, 'bad', /signature is wrong/],
  ['ES256 with a signature in DER', ec, `${encode({ alg: 'ES256' })}.${payload}.${Buffer.concat([Buffer.of(0x30, 0x44), Buffer.from(ecSignature, 'base64url')]).toString('base64url')}`, 'bad', /signature is wrong/],
  ['ES256 with a key of another curve', ec, token({ alg: 'ES256' }, claims(), P384.privateKey), 'bad', /signature is wrong/],

  // Signatures and headers.
  ['another secret', secret, hs256(claims(), {}, `${SECRET}!`), 'bad', /signature is wrong/],
  ['an empty secret', secret, hs256(claims(), {}, ''), 'bad', /signature is wrong/],
  ['another RSA key', rsa, rs256(claims(), {}, STRANGER.privateKey), 'bad', /signature is wrong/],
  ['another payload under the signature', secret, `${header}.${encode(claims({ sub: 'bob' }))}.${signature}`, 'bad', /signature is wrong/],
  ['another header over the signature', secret, `${encode({ alg: 'HS256' })}.${payload}.${signature}`, 'bad', /signature is wrong/],
  ['a signature that is cut', secret, `${header}.${payload}.${Buffer.from(signature, 'base64url').subarray(0, 16).toString('base64url')}`, 'bad', /signature is wrong/],
  ['jwk: the key that it brings along', rsa, rs256(claims(), { jwk: STRANGER.publicKey.export({ format: 'jwk' }) }, STRANGER.privateKey), 'bad', /signature is wrong/],
  ['jku: a key set of its own', rsa, rs256(claims(), { jku: 'http://127.0.0.1:1/jwks.json' }, STRANGER.privateKey), 'bad', /signature is wrong/],
  ['x5u: a certificate of its own', rsa, rs256(claims(), { x5u: 'http://127.0.0.1:1/cert.pem' }, STRANGER.privateKey), 'bad', /signature is wrong/],
  ['x5c: a certificate that it brings along', rsa, rs256(claims(), { x5c: [STRANGER.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] }, STRANGER.privateKey), 'bad', /signature is wrong/],
  ['kid: a file that is empty', secret, hs256(claims(), { kid: '/dev/null' }, ''), 'bad', /signature is wrong/],
  ['kid: SQL that chooses the key', secret, hs256(claims(), { kid: "x' UNION SELECT 'key" }, 'key'), 'bad', /signature is wrong/],
  ['kid is no text', secret, hs256(claims(), { kid: { $ne: '' } }), 'bad', /^kid/],
  ['crit names an extension', secret, hs256(claims(), { crit: ['exp'], exp: 1 }), 'bad', /^crit/],
  ['crit is empty', secret, hs256(claims(), { crit: [] }), 'bad', /^crit/],
  ['b64 with crit', secret, hs256(claims(), { b64: false, crit: ['b64'] }), 'bad', /^crit/],
  ['b64 without crit', secret, hs256(claims(), { b64: false }), 'bad', /^b64/],
  ['zip: compressed', secret, hs256(claims(), { zip: 'DEF' }), 'bad', /^zip/],
  ['cty: a token within', secret, hs256(claims(), { cty: 'JWT' }), 'bad', /^cty/],
  ['enc in a signed token', secret, hs256(claims(), { enc: 'A256GCM' }), 'bad', /^enc/],
  ['typ of a logout token', secret, hs256(claims(), { typ: 'logout+jwt' }), 'bad', /^typ/],
  ['typ is no text', secret, hs256(claims(), { typ: 1 }), 'bad', /^typ/],
  ['typ is null', secret, hs256(claims(), { typ: null }), 'bad', /^typ/],
  ['a header with alg twice', secret, token('{"alg":"none","alg":"HS256"}', claims(), SECRET), 'bad', /^header: .*twice/],
  ['claims with sub twice', secret, hs256(`${good.slice(0, -1)},"sub":"admin"}`), 'bad', /^payload: .*twice/],
  ['claims with a pattern list twice', secret, hs256(good.replace('"publish"', '"publish":["a"],"pub\\u006cish"')), 'bad', /^payload: .*twice/],
  ['claims that are nested deeply', secret, hs256(good.replace('{', `{"x":${'['.repeat(1000)}${']'.repeat(1000)},`)), 'bad', /^payload: .*nested/],

  // Times.
  ['expired', secret, claiming({ exp: SECONDS - 60, iat: SECONDS - 70 }), 'expired', /has expired/],
  ['expired by a fraction', secret, claiming({ exp: SECONDS - 60.001, iat: SECONDS - 70 }), 'expired', /has expired/],
  ['no exp', secret, claiming({ exp: undefined }), 'bad', /^exp: it is missing/],
  ['exp is a text', secret, claiming({ exp: `${SECONDS + 60}` }), 'bad', /^exp/],
  ['exp is null', secret, claiming({ exp: null }), 'bad', /^exp/],
  ['exp is a list', secret, claiming({ exp: [SECONDS + 60] }), 'bad', /^exp/],
  ['exp is infinite', secret, hs256(good.replace(/"exp":\d+/, '"exp":1e999')), 'bad', /^exp/],
  ['exp in milliseconds', secret, claiming({ exp: NOW + 60_000 }), 'bad', /^exp: it is not a number of seconds/],
  ['exp before iat', secret, claiming({ exp: SECONDS - 11 }), 'bad', /^exp: it is not after iat/],
  ['exp a second too long after iat', secret, claiming({ exp: SECONDS - 10 + 86_401 }), 'bad', /^exp: it is more than JWT_MAX_SECONDS/],
  ['exp too long after iat, which is long ago', secret, claiming({ iat: 0 }), 'bad', /^exp: it is more than JWT_MAX_SECONDS/],
  ['exp beyond a bound that is set', strict, hs256(strictClaims({ exp: SECONDS + 591 })), 'bad', /JWT_MAX_SECONDS after iat, which is 600/],
  ['no iat', secret, claiming({ iat: undefined }), 'bad', /^iat: it is missing/],
  ['iat is a text', secret, claiming({ iat: `${SECONDS}` }), 'bad', /^iat/],
  ['iat is negative', secret, claiming({ iat: -1 }), 'bad', /^iat/],
  ['iat in the future', secret, claiming({ iat: SECONDS + 60.5 }), 'bad', /^iat: it is in the future/],
  ['iat in milliseconds', secret, claiming({ iat: NOW }), 'bad', /^iat/],
  ['nbf in the future', secret, claiming({ nbf: SECONDS + 61 }), 'bad', /^nbf/],
  ['nbf is a text', secret, claiming({ nbf: '0' }), 'bad', /^nbf/],

  // Whom it is from, for, and about.
  ['no iss', strict, hs256(strictClaims({ iss: undefined })), 'bad', /^iss: it is missing/],
  ['another iss', strict, hs256(strictClaims({ iss: 'https://issuer.example' })), 'bad', /^iss/],
  ['iss is a list', strict, hs256(strictClaims({ iss: ['https://issuer.example/'] })), 'bad', /^iss/],
  ['no aud', strict, hs256(strictClaims({ aud: undefined })), 'bad', /^aud: it is missing/],
  ['another aud', strict, hs256(strictClaims({ aud: 'tidings2' })), 'bad', /^aud/],
  ['a list of others in aud', strict, hs256(strictClaims({ aud: ['a', 'b'] })), 'bad', /^aud/],
  ['an empty list in aud', strict, hs256(strictClaims({ aud: [] })), 'bad', /^aud/],
  ['aud is an object', strict, hs256(strictClaims({ aud: { tidings: true } })), 'bad', /^aud/],
  ['no sub', secret, claiming({ sub: undefined }), 'bad', /^sub: it is missing/],
  ['sub is a number', secret, claiming({ sub: 42 }), 'bad', /^sub: it is not a text/],
  ['sub is a list', secret, claiming({ sub: ['alice'] }), 'bad', /^sub: it is not a text/],
  ['sub is null', secret, claiming({ sub: null }), 'bad', /^sub: it is not a text/],
  ['sub is empty', secret, claiming({ sub: '' }), 'bad', /^sub: it is empty/],
  ['sub is half a character', secret, hs256(good.replace('alice', 'alice\\ud800')), 'bad', /^sub: it is not well-formed/],
  ['sub is too long', secret, claiming({ sub: 'a'.repeat(256) }), 'bad', /^sub: it is longer than 255 bytes/],
  ['sub whose segment is too long for its topic', secret, claiming({ sub: 'a'.repeat(255) }), 'bad', /^tidings\.subscribe\[0\]: .*longer than 255 bytes/],
  ['jti is a number', secret, claiming({ jti: 1 }), 'bad', /^jti/],

  // What it allows.
  ['the claim is a text', secret, granting('admin'), 'bad', /^tidings: it is not an object/],
  ['the claim is null', secret, granting(null), 'bad', /^tidings: it is not an object/],
  ['the claim is a list', secret, granting([]), 'bad', /^tidings: it is not an object/],
  ['an unknown member', secret, granting({ subscribe: ['a'], until: 5 }), 'bad', /^tidings: it has a member other/],
  ['a misspelt member', secret, granting({ subscibe: ['a'] }), 'bad', /^tidings: it has a member other/],
  ['a member called __proto__', secret, hs256(good.replace('"publish"', '"__proto__":{"admin":true},"publish"')), 'bad', /^tidings: it has a member other/],
  ['admin is a text', secret, granting({ admin: 'true' }), 'bad', /^tidings\.admin/],
  ['admin is 1', secret, granting({ admin: 1 }), 'bad', /^tidings\.admin/],
  ['operate is a text', secret, granting({ operate: 'true' }), 'bad', /^tidings\.operate/],
  ['presence is a text', secret, granting({ presence: '>' }), 'bad', /^tidings\.presence: it is not an array/],
  ['presence has a pattern with > in the middle', secret, granting({ presence: ['a.>.b'] }), 'bad', /^tidings\.presence\[0\]: .*last segment/],
  ['the metadata is too long', secret, granting({ meta: 'x'.repeat(1023) }), 'bad', /^tidings\.meta: it is longer than 1024 bytes/],
  ['the metadata is too long in bytes', secret, granting({ meta: { a: '\u{1f600}'.repeat(260) } }), 'bad', /^tidings\.meta: it is longer/],
  ['publish is a text', secret, granting({ publish: '>' }), 'bad', /^tidings\.publish: it is not an array/],
  ['subscribe is null', secret, granting({ subscribe: null }), 'bad', /^tidings\.subscribe: it is not an array/],
  ['a pattern that is no text', secret, granting({ subscribe: ['a', 5] }), 'bad', /^tidings\.subscribe\[1\]: it is not a text/],
  ['a pattern that is empty', secret, granting({ subscribe: [''] }), 'bad', /^tidings\.subscribe\[0\]: .*empty/],
  ['a pattern with > in the middle', secret, granting({ publish: ['a.>.b'] }), 'bad', /^tidings\.publish\[0\]: .*last segment/],
  ['a pattern with half a wildcard', secret, granting({ publish: ['a*'] }), 'bad', /^tidings\.publish\[0\]: .*whole segment/],
  ['a pattern with white space', secret, granting({ publish: ['a b'] }), 'bad', /^tidings\.publish\[0\]: .*white space/],
  ['a pattern with {sub} in a part of a segment', secret, granting({ publish: ['user-{sub}'] }), 'bad', /^tidings\.publish\[0\]: .*braces/],
  ['a pattern with an unknown placeholder', secret, granting({ subscribe: ['{user}.>'] }), 'bad', /^tidings\.subscribe\[0\]: .*braces/],
  ['101 patterns', secret, granting({ subscribe: Array.from({ length: 101 }, (_, index) => `t${index}`) }), 'bad', /^tidings\.subscribe: it has more than 100/],
];

t.test('each attempt is refused for its one fault, in words that repeat nothing of the token', async (t) => {
  t.equal(new Set(ATTEMPTS.map(([name]) => name)).size, ATTEMPTS.length);
  for (const [name, jwt, text, refusal, reason] of ATTEMPTS) {
    const error = await refused(jwt, text);
    t.match(error, { refusal, message: reason }, name);
    const [, claimsPart = '', signaturePart = ''] = text.split('.');
    for (const part of [claimsPart, signaturePart, 'alice', 'issuer.example']) if (part !== '') t.notOk(error.message.includes(part), name);
    t.equal(error.cause, undefined, name);
    // A second attempt finds nothing in the cache.
    t.equal((await refused(jwt, text)).refusal, refusal, name);
  }
});

t.test('without its fault each kind of token is good', async (t) => {
  for (const [jwt, text] of [
    [secret, hs256()], [rsa, rs256()], [ec, token({ alg: 'ES256' }, claims(), EC.privateKey)], [ed, token({ alg: 'EdDSA' }, claims(), ED.privateKey)], [strict, hs256(strictClaims({}))],
  ] as const) t.match(await jwt.verify(text), { subject: 'alice' });
});
