import { generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { t } from 'tap';
import type { JwtVerifier } from '../../src/access/tokens/jwt.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { settle, TestClock } from '../support/clock.ts';
import { listening } from '../support/listening.ts';
import { freePort } from '../support/ports.ts';
import { recordingLogger } from '../support/logger.ts';
import type { Scope } from '../support/temp.ts';
import { claims, EC, ED, NOW, refused, RSA, token, verifier, type Pair } from '../support/tokens.ts';

/** Key sets from a server on this machine. The test moves the clock, so nothing here takes time but the requests themselves. */

const SECOND_RSA: Pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const REFRESH_MS = 300_000;
const COOLDOWN_MS = 30_000;
const OUTAGE_MAX_MS = 86_400_000;

type Respond = (request: IncomingMessage, response: ServerResponse) => void;

function jwk(key: KeyObject, more: object = {}): JsonWebKey {
  return { ...key.export({ format: 'jwk' }), ...more };
}

/** A good token of the issuer, if the key is. */
function from(pair: Pair, kid: string | undefined, changes: object = {}): string {
  const alg = { rsa: 'RS256', ec: 'ES256', ed25519: 'EdDSA' }[pair.privateKey.asymmetricKeyType as string]!;
  return token({ alg, kid }, claims({ iss: 'i', ...changes }), pair.privateKey);
}

/** An endpoint whose answer the test changes, and a verifier that fetches from it. */
class Endpoint {
  readonly clock = new TestClock();
  readonly lines: string[];
  readonly counters = new Counters();
  readonly jwt: JwtVerifier;
  readonly server: Server;
  readonly port: number;
  requests: string[] = [];
  respond: Respond;

  static async open(t: Scope, respond: Respond | object): Promise<Endpoint> {
    const server = createServer();
    const endpoint = new Endpoint(server, await listening(server, await freePort()), respond);
    t.teardown(() => {
      endpoint.jwt.close();
      server.close();
      server.closeAllConnections();
    });
    return endpoint;
  }

  private constructor(server: Server, port: number, respond: Respond | object) {
    this.server = server;
    this.port = port;
    this.respond = typeof respond === 'function' ? respond as Respond : answering(respond);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.requests.push(request.url ?? '');
      this.respond(request, response);
    });
    const { logger, lines } = recordingLogger();
    this.lines = lines;
    this.jwt = verifier({ JWT_JWKS_URL: `http://127.0.0.1:${port}/jwks?key=hunter2`, JWT_ISSUER: 'i' }, { clock: this.clock, logger, counters: this.counters });
  }

  serve(set: object): void {
    this.respond = answering(set);
  }

  /** Lets so much time pass, at whose end a fetch begins, and waits until that is over. */
  async pass(milliseconds: number): Promise<void> {
    await this.clock.advance(milliseconds);
    await this.settled();
  }

  /** Waits for the fetch that is under way: whoever has a key that is unknown shares it. Begins none, because one has just begun. */
  async settled(): Promise<void> {
    t.equal((await refused(this.jwt, from(RSA, 'nobody'))).refusal, 'unavailable');
  }

  /** Whether a token is known from before. */
  knows(text: string): boolean {
    const answer = this.jwt.verify(text);
    if (answer instanceof Promise) answer.catch(() => undefined);
    return !(answer instanceof Promise);
  }

  /** Ends all connections, and takes no more. */
  async leave(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

function answering(set: object): Respond {
  return (_request, response) => void response.setHeader('content-type', 'application/json').end(JSON.stringify(set));
}

t.test('the keys of a set check the tokens that name them, also those that come before it', async (t) => {
  const endpoint = await Endpoint.open(t, { keys: [jwk(RSA.publicKey, { kid: 'a', use: 'sig', alg: 'RS256' }), jwk(EC.publicKey, { kid: 'b' }), jwk(ED.publicKey, { kid: 'c', alg: 'EdDSA', key_ops: ['verify'] })] });
  endpoint.jwt.open();
  const all = [from(RSA, 'a'), from(EC, 'b'), from(ED, 'c')];
  for (const verified of await Promise.all(all.map(async (text) => endpoint.jwt.verify(text)))) t.match(verified, { subject: 'alice' });
  t.same(endpoint.requests, ['/jwks?key=hunter2'], 'all waited for one fetch');
  t.ok(all.every((text) => endpoint.knows(text)));
  t.match(endpoint.lines.join(), /"url":"http:\/\/127\.0\.0\.1:\d+\/jwks","keys":3,"skipped":\[\],"msg":"The key set was fetched"/);
  t.notMatch(endpoint.lines.join(), /hunter2|eyJ/);
});

t.test('a token without a kid needs the only key of its algorithm', async (t) => {
  const endpoint = await Endpoint.open(t, { keys: [jwk(RSA.publicKey, { kid: 'a' }), jwk(SECOND_RSA.publicKey), jwk(EC.publicKey, { kid: 'b' }), jwk(ED.publicKey, { kid: 'twice' }), jwk(generateKeyPairSync('ed25519').publicKey, { kid: 'twice' })] });
  t.match(await endpoint.jwt.verify(from(EC, undefined)), { subject: 'alice' });
  t.match(await refused(endpoint.jwt, from(RSA, undefined)), { refusal: 'bad', message: /no kid/ });
  t.match(await refused(endpoint.jwt, from(ED, 'twice')), { refusal: 'bad', message: /several keys with its kid/ });
  t.match(await refused(endpoint.jwt, from(EC, undefined, { iss: 'other' })), { refusal: 'bad', message: /^iss/ });
});

t.test('a token whose key is unknown makes one fetch for all, once in the cooldown', async (t) => {
  const endpoint = await Endpoint.open(t, { keys: [jwk(RSA.publicKey, { kid: 'a' })] });
  endpoint.jwt.open();
  await endpoint.jwt.verify(from(RSA, 'a'));
  const strangers = Array.from({ length: 50 }, (_, index) => from(RSA, `unknown-${index}`));
  const ask = async (): Promise<string[]> => Promise.all(strangers.map(async (text) => (await refused(endpoint.jwt, text)).refusal));
  t.same(new Set(await ask()), new Set(['unavailable']), 'nobody can say in the cooldown');
  await endpoint.clock.advance(COOLDOWN_MS - 1);
  t.same(new Set(await ask()), new Set(['unavailable']));
  t.equal(endpoint.requests.length, 1);
  await endpoint.clock.advance(1);
  t.match(await ask(), ['bad', 'unavailable'], 'who asked before the fetch knows, the others come again');
  t.equal(endpoint.requests.length, 2);

  endpoint.serve({ keys: [jwk(RSA.publicKey, { kid: 'a' }), jwk(EC.publicKey, { kid: 'new' })] });
  t.equal((await refused(endpoint.jwt, from(EC, 'new'))).refusal, 'unavailable');
  await endpoint.clock.advance(COOLDOWN_MS);
  for (const verified of await Promise.all([1, 2, 3].map(async (jti) => endpoint.jwt.verify(from(EC, 'new', { jti: `${jti}` }))))) t.match(verified, { subject: 'alice' });
  t.equal(endpoint.requests.length, 3);
});

t.test('a token that its head alone refuses makes no fetch', async (t) => {
  const endpoint = await Endpoint.open(t, { keys: [jwk(RSA.publicKey, { kid: 'a' })] });
  await endpoint.jwt.verify(from(RSA, 'a'));
  await endpoint.clock.advance(COOLDOWN_MS);
  const url = `http://127.0.0.1:${endpoint.port}/evil`;
  for (const header of [{ alg: 'HS256', kid: 'x' }, { alg: 'none', kid: 'x' }, { alg: 'RS256', kid: 5 }, { alg: 'RS256', kid: 'x', crit: ['x'] }, { alg: 'RS256', kid: 'a', jku: url, x5u: url, jwk: jwk(SECOND_RSA.publicKey) }]) {
    t.equal((await refused(endpoint.jwt, token(header, claims({ iss: 'i' }), SECOND_RSA.privateKey))).refusal, 'bad');
  }
  t.same(endpoint.requests, ['/jwks?key=hunter2']);
});

t.test('a key that its issuer withdrew or replaced is good for one refresh at most, and the others go on', async (t) => {
  const endpoint = await Endpoint.open(t, { keys: [jwk(RSA.publicKey, { kid: 'a' }), jwk(EC.publicKey, { kid: 'b' }), jwk(ED.publicKey, { kid: 'c' })] });
  endpoint.jwt.open();
  const [withdrawn, kept, replaced] = [from(RSA, 'a'), from(EC, 'b'), from(ED, 'c')];
  for (const text of [withdrawn, kept, replaced]) await endpoint.jwt.verify(text);
  endpoint.serve({ keys: [jwk(generateKeyPairSync('ed25519').publicKey, { kid: 'c' }), jwk(EC.publicKey, { kid: 'b' })] });
  t.same([withdrawn, kept, replaced].map((text) => endpoint.knows(text)), [true, true, true]);
  await endpoint.pass(REFRESH_MS);
  t.same([withdrawn, kept, replaced].map((text) => endpoint.knows(text)), [false, true, false]);
  t.equal((await refused(endpoint.jwt, withdrawn)).refusal, 'unavailable');
  t.match(await refused(endpoint.jwt, replaced), { refusal: 'bad', message: /signature is wrong/ });

  endpoint.serve({ keys: [] });
  await endpoint.pass(REFRESH_MS);
  t.notOk(endpoint.knows(kept), 'an empty set withdraws all');
  t.match(endpoint.lines.at(-1), /"level":"warn".*has no key that can check a token/);
});

t.test('while the endpoint is away its keys stay in use, and good tokens are accepted', async (t) => {
  const endpoint = await Endpoint.open(t, { keys: [jwk(RSA.publicKey, { kid: 'a' })] });
  endpoint.jwt.open();
  const before = from(RSA, 'a');
  await endpoint.jwt.verify(before);
  await endpoint.leave();
  for (const wait of [REFRESH_MS, COOLDOWN_MS, COOLDOWN_MS]) await endpoint.pass(wait);
  t.ok(endpoint.knows(before));
  t.match(await endpoint.jwt.verify(from(RSA, 'a', { jti: 'new' })), { subject: 'alice' });
  t.equal((await refused(endpoint.jwt, from(EC, 'b'))).refusal, 'unavailable');
  t.equal(endpoint.lines.filter((line) => line.includes('"level":"warn"')).length, 1, 'one line for all failures');
  t.match(endpoint.lines.at(-1), /"reason":"ECONNREFUSED","keys":1,"msg":"The key set cannot be fetched; the known keys stay in use"/);
  t.ok(endpoint.counters.jwks.failures > 0);
  t.equal(endpoint.counters.jwks.fetched, NOW / 1000);

  endpoint.clock.spend(OUTAGE_MAX_MS - REFRESH_MS - 2 * COOLDOWN_MS - 1);
  await endpoint.pass(0);
  t.ok(endpoint.knows(before), 'for a day');
  await endpoint.pass(COOLDOWN_MS);
  t.notOk(endpoint.knows(before), 'and not longer');
  t.equal((await refused(endpoint.jwt, before)).refusal, 'unavailable');
  t.match(endpoint.lines.at(-1), /"level":"error"/);

  await listening(endpoint.server, endpoint.port);
  await endpoint.pass(COOLDOWN_MS);
  t.match(await endpoint.jwt.verify(before), { subject: 'alice' });
  t.match(endpoint.lines.at(-1), /"level":"info".*The key set was fetched/);
});

const SECRET_TEXT = 'hunter2';
const BAD_ANSWERS: readonly (readonly [name: string, respond: Respond, reason: RegExp])[] = [
  ['a redirect', (_request, response) => void response.writeHead(302, { location: '/other' }).end(), /redirect/],
  ['an error', (_request, response) => void response.writeHead(500).end(SECRET_TEXT), /answered 500/],
  ['nothing', (_request, response) => void response.writeHead(204).end(), /answered 204/],
  ['an empty body', (_request, response) => void response.end(), /not JSON/],
  ['a page', (_request, response) => void response.setHeader('content-type', 'text/html').end(`<html>${SECRET_TEXT}`), /not JSON/],
  ['a list', answering([jwk(RSA.publicKey, { kid: 'a' })]), /not a key set/],
  ['null', (_request, response) => void response.end('null'), /not a key set/],
  ['one key', answering(jwk(RSA.publicKey, { kid: 'a' })), /not a key set/],
  ['keys that are no list', answering({ keys: { a: jwk(RSA.publicKey, { kid: 'a' }) } }), /not a key set/],
  ['too many keys', answering({ keys: Array.from({ length: 101 }, () => jwk(RSA.publicKey, { kid: 'a' })) }), /more than 100 keys/],
  ['an answer that is too long', answering({ x: 'x'.repeat(131_072), keys: [jwk(RSA.publicKey, { kid: 'a' })] }), /longer than 131072 bytes/],
  ['a small answer that becomes too long', (_request, response) => void response.setHeader('content-encoding', 'gzip').end(gzipSync(JSON.stringify({ x: 'x'.repeat(50_000_000) }))), /longer than 131072 bytes/],
  ['an answer that is cut', (_request, response) => void response.writeHead(200, { 'content-length': 1000 }).write('{', () => response.destroy()), /./],
  ['no HTTP', (request) => void request.socket.end('SSH-2.0-x\r\n'), /./],
  ['an end of the connection', (request) => void request.socket.destroy(), /./],
];

for (const [name, respond, reason] of BAD_ANSWERS) {
  t.test(`an endpoint that answers with ${name} is away`, async (t) => {
    const endpoint = await Endpoint.open(t, respond);
    endpoint.jwt.open();
    const text = from(RSA, 'a');
    t.equal((await refused(endpoint.jwt, text)).refusal, 'unavailable');
    t.same(endpoint.requests, ['/jwks?key=hunter2']);
    t.match(JSON.parse(endpoint.lines.join()), { level: 'warn', reason, keys: 0 });
    t.notMatch(endpoint.lines.join(), SECRET_TEXT);
    // It is asked again by itself, and its keys outlast the next bad answer.
    endpoint.serve({ keys: [jwk(RSA.publicKey, { kid: 'a' })] });
    await endpoint.pass(COOLDOWN_MS);
    t.match(await endpoint.jwt.verify(text), { subject: 'alice' });
    endpoint.respond = respond;
    await endpoint.pass(REFRESH_MS);
    t.ok(endpoint.knows(text));
    t.equal(endpoint.requests.length, 3);
  });
}

t.test('an answer without an end is cut off, and costs little', async (t) => {
  let written = 0;
  const cut = Promise.withResolvers<void>();
  const endpoint = await Endpoint.open(t, (_request: IncomingMessage, response: ServerResponse) => {
    response.once('close', cut.resolve);
    const write = (): void => {
      while (!response.destroyed) {
        written += 65_536;
        if (!response.write(' '.repeat(65_536))) break;
      }
    };
    response.on('drain', write);
    write();
  });
  t.equal((await refused(endpoint.jwt, from(RSA, 'a'))).refusal, 'unavailable');
  await cut.promise;
  t.ok(written < 32 * 1024 ** 2, `${written} bytes`);
});

for (const [name, begin] of [
  ['says nothing', () => undefined],
  ['sends half an answer', (response: ServerResponse) => void response.writeHead(200).write('{"keys":')],
] as const) {
  t.test(`an endpoint that ${name} is waited for, for five seconds`, async (t) => {
    const [asked, cut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const endpoint = await Endpoint.open(t, (_request: IncomingMessage, response: ServerResponse) => {
      response.once('close', cut.resolve);
      begin(response);
      asked.resolve();
    });
    let isOver = false;
    const refusal = refused(endpoint.jwt, from(RSA, 'a')).finally(() => (isOver = true));
    await asked.promise;
    await endpoint.clock.advance(4999);
    t.notOk(isOver);
    await endpoint.clock.advance(1);
    t.equal((await refusal).refusal, 'unavailable');
    await cut.promise;
    t.match(JSON.parse(endpoint.lines.join()), { level: 'warn', reason: 'it took longer than 5 seconds' });
  });
}

t.test('a set may hold keys for other purposes, and they check nothing', async (t) => {
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const hmac = Buffer.from('x'.repeat(32));
  const endpoint = await Endpoint.open(t, { keys: [
    jwk(RSA.publicKey, { kid: 'encryption', use: 'enc' }), jwk(RSA.publicKey, { kid: 'oaep', alg: 'RSA-OAEP' }), jwk(RSA.publicKey, { kid: 'rs512', alg: 'RS512' }), jwk(RSA.publicKey, { kid: 'ops', key_ops: ['encrypt'] }),
    jwk(EC.privateKey, { kid: 'private' }), jwk(small.publicKey, { kid: 'small' }), jwk(p384.publicKey, { kid: 'p384' }), { kty: 'oct', kid: 'oct', k: hmac.toString('base64url'), alg: 'HS256' },
    null, 5, 'x', [], {}, { kty: 'RSA', kid: 'empty' }, { kty: 'RSA', n: 5, e: {} }, jwk(RSA.publicKey, { kid: 5 }), { kty: 'AKP', kid: 'future' }, jwk(ED.publicKey, { kid: 'good' }),
  ] });
  endpoint.jwt.open();
  t.match(await endpoint.jwt.verify(from(ED, 'good')), { subject: 'alice' });
  for (const kid of ['encryption', 'oaep', 'rs512', 'ops']) t.equal((await refused(endpoint.jwt, from(RSA, kid))).refusal, 'unavailable', kid);
  t.equal((await refused(endpoint.jwt, from(EC, 'private'))).refusal, 'unavailable');
  t.equal((await refused(endpoint.jwt, from(small, 'small'))).refusal, 'unavailable');
  t.match(await refused(endpoint.jwt, token({ alg: 'HS256', kid: 'oct' }, claims({ iss: 'i' }), hmac)), { refusal: 'bad', message: /^alg/ });
  t.match(await refused(endpoint.jwt, token({ alg: 'ES256', kid: 'p384' }, claims({ iss: 'i' }), p384.privateKey)), { refusal: 'unavailable' });
  const { skipped } = JSON.parse(endpoint.lines.join()) as { skipped: string[] };
  t.equal(skipped.length, 17);
  t.match(skipped[4], /^keys\[4\]: it is a private key/);
});

t.test('closing ends the fetch that is under way, and says nothing of it', async (t) => {
  const [asked, cut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const endpoint = await Endpoint.open(t, (_request: IncomingMessage, response: ServerResponse) => {
    response.once('close', cut.resolve);
    asked.resolve();
  });
  endpoint.jwt.open();
  await asked.promise;
  endpoint.jwt.close();
  await cut.promise;
  await settle();
  await endpoint.clock.advance(REFRESH_MS);
  t.same(endpoint.requests.length, 1);
  t.same(endpoint.lines, []);
});
