import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { openStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { listening } from '../support/listening.ts';
import { copyProgram, replaceIn } from '../support/program-copy.ts';
import { startRedis } from '../support/redis.ts';
import { EC, ED, RSA, token, type Pair } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** A fleet whose tokens are signed by an identity provider: its keys change, it is away, it answers with anything. test/access/jwks.test.ts has the details. */

const ISSUER = 'https://id.example.com';
const PAIRS = { first: RSA, second: EC, third: ED } as const;
type Kid = keyof typeof PAIRS;

const ALGORITHMS = { first: 'RS256', second: 'ES256', third: 'EdDSA' } as const satisfies Record<Kid, string>;

let made = 0;

/** A new token of alice's, good for an hour. */
function tokenBy(kid: Kid): Record<string, string> {
  const iat = Math.floor(Date.now() / 1000);
  return bearer(token({ alg: ALGORITHMS[kid], kid }, { sub: 'alice', iss: ISSUER, aud: 'tidings', iat, exp: iat + 3600, jti: String(made++), tidings: { publish: ['user.{sub}.>'], subscribe: ['user.{sub}.>'] } }, PAIRS[kid].privateKey));
}

function setOf(...kids: readonly Kid[]): RequestListener {
  const jwk = (pair: Pair, kid: string): object => ({ ...pair.publicKey.export({ format: 'jwk' }), kid });
  return (_request, response) => void response.end(JSON.stringify({ keys: kids.map((kid) => jwk(PAIRS[kid], kid)) }));
}

/** The endpoint of the provider; the test changes what it answers. */
async function startProvider(t: Test): Promise<{ readonly url: string; answer: RequestListener }> {
  const provider = { url: '', answer: setOf('first') };
  const server = createServer((request, response) => provider.answer(request, response));
  provider.url = `http://127.0.0.1:${await listening(server)}/jwks.json`;
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return provider;
}

/** The program with short times, so that the test need not wait for minutes. */
function impatient(t: Test): string {
  const folder = copyProgram(t);
  replaceIn(folder, 'access/tokens/jwks.ts', 'REFRESH_MS = 300_000', 'REFRESH_MS = 100');
  replaceIn(folder, 'access/tokens/jwks.ts', 'COOLDOWN_MS = 30_000', 'COOLDOWN_MS = 100');
  replaceIn(folder, 'access/tokens/jwks-request.ts', 'FETCH_MAX_MS = 5000', 'FETCH_MAX_MS = 1000');
  return join(folder, 'src/main.ts');
}

const HUGE = JSON.stringify({ keys: [], x: 'x'.repeat(1_000_000) });

/** What is no key set: each counts as being away. */
const BAD_ANSWERS: readonly (readonly [what: string, answer: RequestListener])[] = [
  ['ends the connection', (request) => void request.socket.destroy()],
  ['answers with an error', (_request, response) => void response.writeHead(500).end()],
  ['redirects', (_request, response) => void response.writeHead(302, { location: '/other' }).end()],
  ['answers with a page', (_request, response) => void response.end('<html>')],
  ['answers with something else', (_request, response) => void response.end('{"keys":{}}')],
  ['answers hugely', (_request, response) => void response.end(HUGE)],
  ['does not answer', () => undefined],
];

t.test('the keys of the provider change and it goes away: nobody with a good token is ever refused, and open streams go on', async (t) => {
  const provider = await startProvider(t);
  const env = {
    JWT_JWKS_URL: provider.url, JWT_ISSUER: ISSUER, JWT_AUDIENCE: 'tidings', DATABASE_URL: await emptyDatabase(t), REDIS_URL: (await startRedis(t)).url, POLL_MS: '100', LOG_LEVEL: 'info', RETRY_MIN_MS: '20', RETRY_MAX_MS: '100',
  };
  const entry = impatient(t);
  const instances: readonly Instance[] = await Promise.all([startInstance(t, env, { entry }), startInstance(t, env, { entry })]);
  const [one, two] = instances.map(({ url }) => new Http(t, url)) as [Http, Http];
  const topic = 'user.alice.inbox';
  const publish = async (http: Http, kid: Kid): Promise<number> => (await http.post(topic, `by ${kid}`, tokenBy(kid))).status;
  /** What a token's key that is new gets until it is known: 503, and never 401. */
  const becomesKnown = (http: Http, kid: Kid): Promise<void> => until(`a token by the ${kid} key is good`, async () => {
    const status = await publish(http, kid);
    t.ok(status === 201 || status === 503, `the ${kid} key: ${status}`);
    return status === 201;
  });
  await becomesKnown(one, 'first');
  await becomesKnown(two, 'first');
  const streams = await Promise.all(instances.map(({ url }) => openStream(t, `${url}/topics/${topic}/events`, { headers: tokenBy('first') })));
  for (const stream of streams) await stream.next();

  provider.answer = setOf('first', 'second');
  for (const http of [one, two]) await becomesKnown(http, 'second');
  t.same([await publish(one, 'first'), await publish(two, 'first')], [201, 201], 'both are good until the old one is withdrawn');
  provider.answer = setOf('second');
  for (const http of [one, two]) await until('the old one is not good any more', async () => await publish(http, 'first') === 401);

  for (const [what, answer] of BAD_ANSWERS) {
    const before = instances.map(({ output }) => output.length);
    provider.answer = answer;
    await until(`both know that the provider ${what}`, () => instances.every(({ output }, index) => output.slice(before[index]).includes('The key set cannot be fetched')));
    for (const [index, http] of [one, two].entries()) {
      t.equal(await publish(http, 'second'), 201, `it ${what}: a known key is good`);
      t.match(await http.post(topic, 'x', tokenBy('third')), { status: 503, headers: { 'retry-after': /^\d+$/ } }, `it ${what}: nobody can say whether an unknown one is`);
      const busy = await openStream(t, `${instances[index]!.url}/topics/${topic}/events`, { headers: tokenBy('third') });
      t.equal((await busy.next()).event, '$busy', 'and its stream comes back');
    }
    t.equal((await one.post(topic, what, tokenBy('second'))).status, 201);
    for (const stream of streams) await stream.next(({ data }) => data === what);
    // Each failure after a good answer is a line of the log.
    const failed = instances.map(({ output }) => output.length);
    provider.answer = setOf('second');
    await until('both have the keys again', () => instances.every(({ output }, index) => output.slice(failed[index]).includes('The key set was fetched')));
  }
  t.same(streams.map(({ events }) => events.filter(({ event }) => event === '$gap' || event === '$busy')), [[], []], 'the streams that were open did not notice');

  provider.answer = setOf('second', 'third');
  for (const http of [one, two]) await becomesKnown(http, 'third');
});

t.test('an instance that starts while the provider is away refuses nobody, and takes tokens when it is back', async (t) => {
  const provider = await startProvider(t);
  provider.answer = (request) => void request.socket.destroy();
  const instance = await startInstance(t, { JWT_JWKS_URL: provider.url, JWT_ISSUER: ISSUER }, { entry: impatient(t) });
  const http = new Http(t, instance.url);
  t.equal((await http.post('user.alice.inbox', 'x', tokenBy('first'))).status, 503);
  const busy = await openStream(t, `${instance.url}/topics/user.alice.inbox/events`, { headers: tokenBy('first') });
  t.equal((await busy.next()).event, '$busy');
  t.equal((await http.get('/readyz')).status, 200, 'keys do not need the provider');
  provider.answer = setOf('first');
  await until('tokens are good', async () => {
    const { status } = await http.post('user.alice.inbox', 'x', tokenBy('first'));
    t.ok(status === 201 || status === 503, `${status}`);
    return status === 201;
  });
});
