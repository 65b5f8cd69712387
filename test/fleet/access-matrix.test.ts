import { get } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { makeApiKey } from '../../src/access/api-key.ts';
import { ENDPOINTS, type Endpoint } from '../../src/http/endpoints.ts';
import { CREDENTIALS, expectedOf, matrix, type CredentialKind, type Facts, type MatrixRow } from '../support/access-cases.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { startPostgres } from '../support/postgres.ts';
import { bearer } from '../support/keys-command.ts';
import { startRedis } from '../support/redis.ts';
import { tempFolder } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/**
 * The access matrix: every endpoint, method and kind of credential, on both edges, both stores, with Redis and without. Each request that is not allowed must leave the log, the streams and
 * the keys as they were.
 */

const ROOT = makeApiKey();
const WATCHER = makeApiKey();

/** An administrator, and one who may read everything: both declared, so that they are there before the first key. */
function accessFile(t: Test): string {
  const path = join(tempFolder(t), 'access.json');
  const entry = ({ id, digest }: typeof ROOT, more: object): object => ({ id, sha256: digest.toString('hex'), ...more });
  writeFileSync(path, JSON.stringify({ keys: [entry(ROOT, { name: 'root', admin: true }), entry(WATCHER, { name: 'watcher', publish: ['matrix.>'], subscribe: ['>'] })] }));
  return path;
}

/** A token that an application made. It is good for an hour. */
function token(tidings: object, { secret = SECRET, ageSeconds = 0 } = {}): string {
  const iat = Math.floor(Date.now() / 1000) - ageSeconds;
  return hs256({ sub: 'matrix', iat, exp: iat + 3600, tidings }, {}, secret);
}

interface MadeKey {
  readonly id: string;
  readonly key: string;
}

async function make(http: Http, request: object): Promise<MadeKey> {
  const { status, body } = await http.send('POST', '/keys', { ...bearer(ROOT.text), 'content-type': 'application/json' }, JSON.stringify(request));
  if (status !== 201) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as MadeKey;
}

/** The header of each kind of credential. */
async function credentials(http: Http): Promise<Record<CredentialKind, Record<string, string>>> {
  const right = await make(http, { name: 'right', publish: ['matrix.>'], subscribe: ['matrix.>'], erase: ['matrix.>'] });
  const narrow = await make(http, { name: 'narrow', publish: ['other'], subscribe: ['other', 'matrix'] });
  const revoked = await make(http, { name: 'revoked', publish: ['>'], subscribe: ['>'], admin: true });
  const expired = await make(http, { name: 'expired', publish: ['>'], subscribe: ['>'], admin: true, expiresInSeconds: 1 });
  await http.send('DELETE', `/keys/${revoked.id}`, bearer(ROOT.text));
  await until('the key has expired', async () => (await http.get('/messages?topic=a', bearer(expired.key))).status === 401);
  return {
    none: {},
    malformed: { authorization: 'Bearer tdg_x' },
    unknown: bearer(makeApiKey().text),
    'wrong-secret': bearer(makeApiKey(right.id).text),
    expired: bearer(expired.key),
    revoked: bearer(revoked.key),
    narrow: bearer(narrow.key),
    right: bearer(right.key),
    administrator: bearer(ROOT.text),
    'bad-token': bearer(token({ publish: ['>'], subscribe: ['>'], admin: true }, { secret: `${SECRET}!` })),
    'expired-token': bearer(token({ publish: ['>'], subscribe: ['>'], admin: true }, { ageSeconds: 7200 })),
    'narrow-token': bearer(token({ publish: ['other'], subscribe: ['other', 'matrix'] })),
    'right-token': bearer(token({ publish: ['{sub}.>'], subscribe: ['{sub}.>'], erase: ['{sub}.>'] })),
    'administrator-token': bearer(token({ admin: true })),
  };
}

/** The status of a request whose answer may never end. */
function statusOf(instance: Instance, http: Http, method: string, { path, body, type }: MatrixRow, headers: Record<string, string>, isStream: boolean): Promise<number> {
  const hasBody = method.startsWith('P');
  if (!isStream || method !== 'GET') return http.send(method, path, { ...headers, ...(type === undefined || !hasBody ? {} : { 'content-type': type }) }, hasBody ? body : undefined).then(({ status }) => status);
  return new Promise((resolve, reject) => {
    get(`${instance.url}${path}`, { headers, agent: false }, (response) => {
      response.on('error', () => undefined);
      resolve(response.statusCode!);
      response.destroy();
    }).on('error', reject);
  });
}

/** All that a request could have changed, and should not have. */
async function snapshot(http: Http): Promise<string> {
  const read = async (path: string, key: string): Promise<string> => {
    const { status, body } = await http.get(path, bearer(key));
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
    return body;
  };
  const { cursor, messages } = JSON.parse(await read('/messages?topic=%3E&limit=1000', WATCHER.text)) as { cursor: string; messages: { id: string; erased?: true }[] };
  const erased = messages.filter((message) => message.erased === true).map(({ id }) => id);
  const keys = (JSON.parse(await read('/keys?limit=500', ROOT.text)) as { keys: { id: string; revoked?: string }[] }).keys.map(({ id, revoked }) => `${id} ${revoked ?? ''}`);
  const opened = /^tidings_streams_opened_total (\d+)$/m.exec(await read('/metrics', ROOT.text))?.[1];
  return JSON.stringify({ cursor, erased, keys, opened });
}

async function facts(http: Http): Promise<Facts> {
  const published = await http.send('POST', '/topics/matrix.a', bearer(WATCHER.text), 'there');
  const { id } = await make(http, { name: 'to be rotated and revoked', publish: ['a'] });
  return { message: (JSON.parse(published.body) as { id: string }).id, key: id };
}

/** Methods that an endpoint does not have are none of these. */
const METHODS = ['GET', 'HEAD', 'POST', 'DELETE', 'PUT'] as const;

/** What is not there is the same for everybody. */
const WITHOUT_ENDPOINT: readonly CredentialKind[] = ['none', 'right', 'administrator'];

const paths = Map.groupBy(Object.values<Endpoint>(ENDPOINTS), ({ url }) => url);

async function play(t: Test, env: Readonly<Record<string, string>>): Promise<void> {
  const instance = await startInstance(t, { ACCESS_FILE: accessFile(t), JWT_SECRET: SECRET, LOG_LEVEL: 'debug', ...env });
  const http = new Http(t, instance.url);
  const headers = await credentials(http);
  const wrong: string[] = [];
  let refused = 0;
  for (const [name, endpoint] of Object.entries<Endpoint>(ENDPOINTS)) {
    const row = matrix(await facts(http))[name as keyof typeof ENDPOINTS];
    for (const method of METHODS) {
      const has = endpoint.methods.some((one) => one === method);
      // Another endpoint has the same path with this method.
      if (!has && paths.get(endpoint.url)!.some(({ methods }) => methods.some((one) => one === method))) continue;
      const expected = (kind: CredentialKind): number => has ? expectedOf(kind, row.expected) : 405;
      const ask = async (kind: CredentialKind): Promise<void> => {
        const status = await statusOf(instance, http, method, row, headers[kind], endpoint.isStream === true);
        if (status !== expected(kind)) wrong.push(`${method} ${row.path} with ${kind}: ${status} and not ${expected(kind)}`);
      };
      const kinds = has ? CREDENTIALS : WITHOUT_ENDPOINT;
      const [denied, allowed] = [kinds.filter((kind) => expected(kind) >= 400), kinds.filter((kind) => expected(kind) < 400)];
      const before = await snapshot(http);
      for (const kind of denied) await ask(kind);
      if (await snapshot(http) !== before) wrong.push(`${method} ${row.path}: something changed, though nobody was allowed to`);
      refused += denied.length;
      for (const kind of allowed) await ask(kind);
    }
  }
  t.same(wrong, []);
  t.ok(refused > 250, `${refused} were refused`);
  const secrets = Object.values(headers).flatMap(({ authorization }) => authorization === undefined ? [] : [authorization.slice(-40)]);
  t.same(secrets.filter((secret) => secret.length > 20 && instance.output.includes(secret)), [], 'no secret is in its output');
  t.match(await challenge(http), { status: 401, headers: { 'www-authenticate': 'Bearer realm="tidings"' } });
}

function challenge(http: Http): Promise<Answer> {
  return http.get('/topics/matrix.a/messages');
}

t.test('on both edges, with SQLite', async (t) => {
  for (const HTTP_FAST_PATH of ['on', 'off']) await play(t, { HTTP_FAST_PATH });
});

t.test('on both edges, with SQLite and Redis', async (t) => {
  const REDIS_URL = (await startRedis(t)).url;
  for (const HTTP_FAST_PATH of ['on', 'off']) await play(t, { HTTP_FAST_PATH, REDIS_URL });
});

t.test('on both edges, with PostgreSQL, and with Redis too', async (t) => {
  const server = await startPostgres(t);
  const REDIS_URL = (await startRedis(t)).url;
  for (const HTTP_FAST_PATH of ['on', 'off']) {
    await play(t, { HTTP_FAST_PATH, DATABASE_URL: server.url(await server.database()) });
    await play(t, { HTTP_FAST_PATH, DATABASE_URL: server.url(await server.database()), REDIS_URL });
  }
});
