import { createPublicKey, createSecretKey, type JsonWebKey } from 'node:crypto';
import fc from 'fast-check';
import { t } from 'tap';
import { hasTokenKeys } from '../../src/access/access-settings.ts';
import { JwtVerifier } from '../../src/access/tokens/jwt.ts';
import { readConfig } from '../../src/config/config.ts';
import { TestClock } from '../support/clock.ts';
import { quietLogger, recordingLogger } from '../support/logger.ts';
import { rounds } from '../support/rounds.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { claims, EC, ED, hs256, NOW, pem, refused, RSA, SECONDS, SECRET, token, verifier } from '../support/tokens.ts';

t.test('a token says whom it is about and what that one may do', async (t) => {
  t.same(await verifier({ JWT_SECRET: SECRET }).verify(hs256(claims({ sub: 'bob@example.com', jti: 'token-1', tidings: { publish: ['news', 'user.{sub}.in'], subscribe: ['user.{sub}.>', 'public.*'], admin: true, operate: true } }))), {
    subject: 'bob@example.com',
    permissions: { publish: ['news', 'user.bob~40example~2Ecom.in'], subscribe: ['user.bob~40example~2Ecom.>', 'public.*'], admin: true, operate: true },
    issuedAt: NOW - 10_000, expires: NOW + 3_660_000, tokenId: 'token-1',
  });
});

t.test('a token without the claim, or with less of it, may do nothing more', async (t) => {
  const jwt = verifier({ JWT_SECRET: SECRET });
  for (const tidings of [undefined, {}, { publish: [], subscribe: [], admin: false, operate: false }]) {
    t.match(await jwt.verify(hs256(claims({ tidings }))), { subject: 'alice', permissions: { publish: [], subscribe: [], admin: false, operate: false }, tokenId: undefined });
  }
  t.match(await jwt.verify(hs256(claims({ tidings: { subscribe: ['a'] } }))), { permissions: { publish: [], subscribe: ['a'], admin: false, operate: false } });
});

t.test('JWT_CLAIM names the claim, and may be any name', async (t) => {
  const jwt = verifier({ JWT_SECRET: SECRET, JWT_CLAIM: 'https://example.com/tidings' });
  t.match(await jwt.verify(hs256(claims({ 'https://example.com/tidings': { subscribe: ['a'] } }))), { permissions: { publish: [], subscribe: ['a'] } });
  for (const JWT_CLAIM of ['constructor', '__proto__', 'toString']) t.match(await verifier({ JWT_SECRET: SECRET, JWT_CLAIM }).verify(hs256()), { permissions: { publish: [], subscribe: [], admin: false, operate: false } }, JWT_CLAIM);
});

t.test('each kind of key checks the tokens of its algorithm', async (t) => {
  for (const [alg, pair] of [['RS256', RSA], ['ES256', EC], ['EdDSA', ED], ['Ed25519', ED]] as const) {
    for (const JWT_PUBLIC_KEY of [pem(pair.publicKey), JSON.stringify(pair.publicKey.export({ format: 'jwk' }))]) {
      t.match(await verifier({ JWT_PUBLIC_KEY }).verify(token({ alg }, claims(), pair.privateKey)), { subject: 'alice' }, alg);
    }
  }
});

t.test('the issuer and the audience are checked if they are set', async (t) => {
  const jwt = verifier({ JWT_SECRET: SECRET, JWT_ISSUER: 'https://issuer.example/', JWT_AUDIENCE: 'tidings' });
  for (const aud of ['tidings', ['other', 'tidings']]) t.match(await jwt.verify(hs256(claims({ iss: 'https://issuer.example/', aud }))), { subject: 'alice' });
  t.match(await verifier({ JWT_SECRET: SECRET }).verify(hs256(claims({ iss: 'x', aud: 'y' }))), { subject: 'alice' });
});

t.test('types of tokens, and headers that name keys, change nothing', async (t) => {
  const jwt = verifier({ JWT_SECRET: SECRET });
  const named = { kid: '../../etc/passwd', jku: 'http://127.0.0.1:1/', x5u: 'http://127.0.0.1:1/', x5t: 'x', x5c: ['x'], jwk: RSA.publicKey.export({ format: 'jwk' }) };
  for (const header of [{ typ: undefined }, { typ: 'jwt' }, { typ: 'at+jwt' }, { typ: 'application/at+jwt' }, named]) t.match(await jwt.verify(hs256(claims(), header)), { subject: 'alice' });
});

t.test('times may have fractions, and clocks may differ by a minute', async (t) => {
  const jwt = verifier({ JWT_SECRET: SECRET });
  t.match(await jwt.verify(hs256(claims({ iat: SECONDS - 0.5, exp: SECONDS + 0.25 }))), { issuedAt: NOW - 500, expires: NOW + 60_250 });
  for (const changes of [{ iat: SECONDS + 60, exp: SECONDS + 61 }, { nbf: SECONDS + 60 }, { exp: SECONDS - 9.5 }, { exp: SECONDS + 86_390 }]) t.match(await jwt.verify(hs256(claims(changes))), { subject: 'alice' }, JSON.stringify(changes));
});

t.test('a verified token always has some time left, though jose counts whole seconds', async (t) => {
  const jwt = verifier({ JWT_SECRET: SECRET }, { now: () => NOW + 500 });
  t.match(await refused(jwt, hs256(claims({ iat: SECONDS - 100, exp: SECONDS - 59.5 }))), { refusal: 'expired' });
  t.match(await refused(jwt, hs256(claims({ iat: SECONDS - 100, exp: SECONDS - 59.501 }))), { refusal: 'expired' });
  t.match(await jwt.verify(hs256(claims({ iat: SECONDS - 100, exp: SECONDS - 59.499 }))), { expires: NOW + 501 });
});

t.test('the examples of the RFCs have good signatures, and nothing else of them is', async (t) => {
  const PAYLOAD = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
  const secret = createSecretKey(Buffer.from('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', 'base64url'));
  const publicKey = (jwk: JsonWebKey): Record<string, string> => ({ JWT_PUBLIC_KEY: pem(createPublicKey({ key: jwk, format: 'jwk' })) });
  for (const [where, settings, text, reason] of [
    ['RFC 7515, A.1', {}, `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`, 'iat: it is missing'],
    ['RFC 7515, A.2', publicKey({ kty: 'RSA', e: 'AQAB', n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ' }),
      `eyJhbGciOiJSUzI1NiJ9.${PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw`, 'iat: it is missing'],
    ['RFC 7515, A.3', publicKey({ kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' }),
      `eyJhbGciOiJFUzI1NiJ9.${PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`, 'iat: it is missing'],
    ['RFC 8037, A.4', publicKey({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }),
      'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg', 'ERR_JWT_INVALID'],
  ] as const) {
    const config = readConfig(settings, { dotenv: false });
    const jwt = new JwtVerifier({ config: where.endsWith('A.1') ? { ...config, JWT_SECRET: secret } : config, clock: new TestClock(), now: () => 1_300_819_000_000, logger: quietLogger, counters: new Counters() });
    t.match(await refused(jwt, text), { refusal: 'bad', message: reason }, `${where}: the signature is good`);
    const [header, payload, signature] = text.split('.') as [string, string, string];
    const other = `${header}.${payload}.${signature[0] === 'a' ? 'b' : 'a'}${signature.slice(1)}`;
    t.match(await refused(jwt, other), { refusal: 'bad', message: 'its signature is wrong' }, `${where}: another signature is not`);
  }
});

t.test('a token that was verified before is known at once, until it expires', async (t) => {
  let now = NOW;
  const jwt = verifier({ JWT_SECRET: SECRET }, { now: () => now });
  const text = hs256();
  const first = jwt.verify(text);
  t.ok(first instanceof Promise);
  const verified = await first;
  t.equal(jwt.verify(text), verified);
  now = verified.expires - 1;
  t.equal(jwt.verify(text), verified);
  now = verified.expires;
  t.match(await refused(jwt, text), { refusal: 'expired' });
  now = NOW;
  t.ok(jwt.verify(text) instanceof Promise, 'it was forgotten');
});

t.test('a refused token is never remembered as good', async (t) => {
  let now = NOW;
  const jwt = verifier({ JWT_SECRET: SECRET }, { now: () => now });
  const early = hs256(claims({ nbf: SECONDS + 1000 }));
  await refused(jwt, early);
  await refused(jwt, early);
  now = NOW + 1_000_000;
  t.match(await jwt.verify(early), { subject: 'alice' });
});

t.test('a token in which any one character is another is bad, and so is any other text', async (t) => {
  const { logger, lines } = recordingLogger();
  for (const [settings, text] of [[{ JWT_SECRET: SECRET }, hs256()], [{ JWT_PUBLIC_KEY: pem(ED.publicKey) }, token({ alg: 'EdDSA' }, claims(), ED.privateKey)]] as const) {
    const jwt = verifier(settings, { logger });
    await jwt.verify(text);
    const characters = fc.oneof(fc.constantFrom('A', 'Z', 'a', 'z', '0', '-', '_', '.', '=', '+', '/', ' ', '\n', '\u0000', 'é'), fc.string({ minLength: 1, maxLength: 1, unit: 'binary' }));
    await fc.assert(fc.asyncProperty(fc.nat(text.length - 1), characters, async (at, character) => {
      fc.pre(text[at] !== character);
      return (await refused(jwt, text.slice(0, at) + character + text.slice(at + 1))).refusal === 'bad';
    }), { numRuns: rounds(100, 10_000) });
    await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), fc.array(fc.string(), { minLength: 2, maxLength: 4 }).map((parts) => parts.join('.')), fc.json().map((json) => `${Buffer.from(json).toString('base64url')}.e30.e30`)), async (other) => (await refused(jwt, other)).refusal === 'bad'), { numRuns: rounds(200, 10_000) });
  }
  t.same(lines, [], 'whoever asks logs it');
});

t.test('whether a setting names a key', async (t) => {
  t.notOk(hasTokenKeys(readConfig({}, { dotenv: false })));
  for (const settings of [{ JWT_SECRET: SECRET }, { JWT_PUBLIC_KEY: pem(EC.publicKey) }, { JWT_JWKS_URL: 'http://localhost:1/', JWT_ISSUER: 'x' }]) t.ok(hasTokenKeys(readConfig(settings, { dotenv: false })));
});
