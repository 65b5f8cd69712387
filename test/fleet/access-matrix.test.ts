import { get } from 'node:http';
import { t, type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { InstanceList } from '../../src/fleet/instances.ts';
import { ENDPOINTS, type Endpoint } from '../../src/http/admission/endpoints.ts';
import { CREDENTIALS, endpointsAt, expectedOf, matrix, operationsStatus, TICKETS, type CredentialKind, type Facts, type MatrixRow, type TicketKind } from '../support/access-cases.ts';
import { accessFile, accessState, makeKey, ROOT, WATCHER } from '../support/access-state.ts';
import { Http, type Answer } from '../support/http.ts';
import { operationsUrl, startInstance, type Instance } from '../support/instance.ts';
import { startPostgres } from '../support/postgres.ts';
import { bearer } from '../support/keys-command.ts';
import { startRedis } from '../support/redis.ts';
import { logIn } from '../support/sessions.ts';
import { getTicket } from '../support/tickets.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/**
 * The access matrix: every endpoint, method and kind of credential, on both edges, on both stores, with Redis and without. Each request that is not allowed must leave the log, the streams and
 * the keys as they were.
 */

/** A token that an application made. It is good for an hour. */
function token(tidings: object, { secret = SECRET, ageSeconds = 0, jti = undefined as string | undefined } = {}): string {
  const iat = Math.floor(Date.now() / 1000) - ageSeconds;
  return hs256({ sub: 'matrix', iat, exp: iat + 3600, jti, tidings }, {}, secret);
}

type HeaderKind = Exclude<CredentialKind, TicketKind>;

/** The header of each kind of credential. */
async function credentials(http: Http): Promise<Record<HeaderKind, Record<string, string>>> {
  const right = await makeKey(http, { name: 'right', publish: ['matrix.>'], subscribe: ['matrix.>'], erase: ['matrix.>'], presence: ['matrix.>'] });
  const narrow = await makeKey(http, { name: 'narrow', publish: ['other'], subscribe: ['other', 'matrix'] });
  const operator = await makeKey(http, { name: 'operator', operate: true });
  const revoked = await makeKey(http, { name: 'revoked', publish: ['>'], subscribe: ['>'], admin: true });
  const expired = await makeKey(http, { name: 'expired', publish: ['>'], subscribe: ['>'], admin: true, expiresInSeconds: 1 });
  await http.send('DELETE', `/keys/${revoked.id}`, bearer(ROOT.text));
  const ended = await logIn(http, right.key);
  await http.send('DELETE', '/session', ended);
  const revokedToken = token({ publish: ['>'], subscribe: ['>'], admin: true }, { jti: 'revoked' });
  const revokedSession = await logIn(http, revokedToken);
  await http.send('POST', '/revocations', bearer(ROOT.text), '{"jti":"revoked"}');
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
    operator: bearer(operator.key),
    administrator: bearer(ROOT.text),
    'bad-token': bearer(token({ publish: ['>'], subscribe: ['>'], admin: true }, { secret: `${SECRET}!` })),
    'expired-token': bearer(token({ publish: ['>'], subscribe: ['>'], admin: true }, { ageSeconds: 7200 })),
    'revoked-token': bearer(revokedToken),
    'narrow-token': bearer(token({ publish: ['other'], subscribe: ['other', 'matrix'] })),
    'right-token': bearer(token({ publish: ['{sub}.>'], subscribe: ['{sub}.>'], erase: ['{sub}.>'], presence: ['{sub}.>'] })),
    'operator-token': bearer(token({ operate: true })),
    'administrator-token': bearer(token({ admin: true })),
    session: await logIn(http, right.key),
    'ended-session': ended,
    'revoked-session': revokedSession,
  };
}

/** Tickets, which wait for half a minute only. */
async function tickets(http: Http, { right, narrow }: Readonly<Record<HeaderKind, Record<string, string>>>): Promise<Record<TicketKind, string>> {
  const { id, key } = await makeKey(http, { name: 'to be revoked', subscribe: ['matrix.>'] });
  const made = { ticket: await getTicket(http, ['matrix.>'], right), 'other-ticket': await getTicket(http, ['other'], narrow), 'revoked-ticket': await getTicket(http, ['matrix.>'], bearer(key)) };
  await http.send('DELETE', `/keys/${id}`, bearer(ROOT.text));
  return { ticket: made.ticket.ticket, 'other-ticket': made['other-ticket'].ticket, 'revoked-ticket': made['revoked-ticket'].ticket };
}

function isTicket(kind: CredentialKind): kind is TicketKind {
  return TICKETS.some((one) => one === kind);
}

/** The status of a request whose answer may never end. */
function statusOf(instance: Instance, http: Http, method: string, { path, body, type }: MatrixRow, headers: Record<string, string>, isStream: boolean): Promise<number> {
  const hasBody = method.startsWith('P');
  if (method === WEB_SOCKET) return handshake(`${instance.url}${path}`, headers);
  if (!isStream || method !== 'GET') return http.send(method, path, { ...headers, ...(type === undefined || !hasBody ? {} : { 'content-type': type }) }, hasBody ? body : undefined).then(({ status }) => status);
  return new Promise((resolve, reject) => {
    get(`${instance.url}${path}`, { headers, agent: false }, (response) => {
      response.on('error', () => undefined);
      resolve(response.statusCode!);
      response.destroy();
    }).on('error', reject);
  });
}

/** The status that the handshake of a WebSocket is answered with. A page says its origin, without which a cookie counts for nothing there. */
function handshake(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', origin: new URL(url).origin };
    get(url, { headers: { ...headers, ...upgrade }, agent: false }, (response) => {
      response.on('error', () => undefined);
      resolve(response.statusCode!);
      response.destroy();
    }).on('upgrade', ({ statusCode }, socket) => {
      resolve(statusCode!);
      socket.destroy();
    }).on('error', reject);
  });
}

async function facts(http: Http): Promise<Facts> {
  const published = await http.send('POST', '/topics/matrix.a', bearer(WATCHER.text), 'there');
  const { id } = await makeKey(http, { name: 'to be rotated and revoked', publish: ['a'] });
  const { instances: [instance] } = JSON.parse((await http.get('/instances', bearer(ROOT.text))).body) as InstanceList;
  return { message: (JSON.parse(published.body) as { id: string }).id, key: id, instance: instance!.id };
}

/** Methods that an endpoint does not have are none of these. */
const METHODS = ['GET', 'HEAD', 'POST', 'DELETE', 'PUT'] as const;

/** No method, but another way to ask for a stream. */
const WEB_SOCKET = 'WebSocket';

/** What is not there is the same for everybody. */
const WITHOUT_ENDPOINT: readonly CredentialKind[] = ['none', 'right', 'administrator'];

/** One request of the matrix, and its status. */
interface Asked {
  readonly method: string;
  readonly kind: CredentialKind;
  readonly expected: number;
}

async function play(t: Test, env: Readonly<Record<string, string>>): Promise<void> {
  const instance = await startInstance(t, { ACCESS_FILE: accessFile(t, ['matrix.>']), AUTH_COOKIE: '__Host-session', JWT_SECRET: SECRET, FAILED_LOGINS_LIMIT: 'off', LOG_LEVEL: 'debug', OPS_PORT: '0', ...env });
  const http = new Http(t, instance.url);
  const headers = await credentials(http);
  const wrong: string[] = [];
  const secrets: string[] = [];
  let refused = 0;
  for (const [name, endpoint] of Object.entries<Endpoint>(ENDPOINTS)) {
    const row = matrix(await facts(http))[name as keyof typeof ENDPOINTS];
    const shown = await tickets(http, headers);
    secrets.push(...Object.values(shown));
    const asked = METHODS.flatMap((method): Asked[] => {
      const has = endpoint.methods.some((one) => one === method);
      // Another endpoint has the same path with this method.
      if (!has && endpointsAt(endpoint).some(({ methods }) => methods.some((one) => one === method))) return [];
      return (has ? CREDENTIALS : WITHOUT_ENDPOINT).map((kind) => ({ method, kind, expected: !has ? 405 : expectedOf(method === 'HEAD' && isTicket(kind) ? 'none' : kind, row.expected) }));
    });
    if (endpoint.isStream === true) asked.push(...CREDENTIALS.map((kind): Asked => ({ method: WEB_SOCKET, kind, expected: expectedOf(kind, { ...row.expected, right: 101, session: [101, 401], ticket: [101, 403, 401] }) })));
    const ask = async ({ method, kind, expected }: Asked): Promise<void> => {
      const path = isTicket(kind) ? `${row.path}${row.path.includes('?') ? '&' : '?'}ticket=${shown[kind]}` : row.path;
      const status = await statusOf(instance, http, method, { ...row, path }, isTicket(kind) ? {} : headers[kind], endpoint.isStream === true);
      if (status !== expected) wrong.push(`${method} ${row.path} with ${kind}: ${status} and not ${expected}`);
    };
    const [denied, allowed] = [asked.filter(({ expected }) => expected >= 400), asked.filter(({ expected }) => expected < 400)];
    const before = await accessState(http);
    await Promise.all(denied.map(ask));
    if (await accessState(http) !== before) wrong.push(`${name} ${row.path}: something changed, though nobody was allowed to`);
    refused += denied.length;
    for (const one of allowed) await ask(one);
  }
  await playOperations(t, new Http(t, operationsUrl(instance)), http, headers);
  t.same(wrong, []);
  t.ok(refused > 250, `${refused} were refused`);
  secrets.push(...Object.values(headers).flatMap(({ authorization = '', cookie = '' }) => [authorization, cookie]));
  t.same(secrets.map((text) => text.slice(-40)).filter((secret) => secret.length > 20 && instance.output.includes(secret)), [], 'no secret is in its output');
  t.match(await challenge(http), { status: 401, headers: { 'www-authenticate': 'Bearer realm="tidings"' } });
}

/** The other listener: the same for everybody, whatever their credential. */
async function playOperations(t: Test, operations: Http, http: Http, headers: Readonly<Record<HeaderKind, Record<string, string>>>): Promise<void> {
  const wrong: string[] = [];
  const rows = matrix(await facts(http));
  const before = await accessState(http);
  for (const [name, endpoint] of Object.entries<Endpoint>(ENDPOINTS)) {
    const { path, body, type } = rows[name as keyof typeof ENDPOINTS];
    for (const method of METHODS) {
      const expected = operationsStatus(endpoint, method);
      for (const kind of ['none', 'malformed', 'administrator'] as const) {
        const { status } = await operations.send(method, path, { ...headers[kind], ...(type === undefined ? {} : { 'content-type': type }) }, method.startsWith('P') ? body : undefined);
        if (status !== expected) wrong.push(`${method} ${path} for operations with ${kind}: ${status} and not ${expected}`);
      }
    }
  }
  if (await accessState(http) !== before) wrong.push('something changed through the listener for operations');
  t.same(wrong, []);
}

function challenge(http: Http): Promise<Answer> {
  return http.get('/topics/matrix.a/messages');
}

/** Each edge with each store, and each of both with Redis and without it: in four, every two of these meet. */
t.test('with SQLite', (t) => play(t, { HTTP_FAST_PATH: 'on' }));

t.test('without the fast path, with SQLite and Redis', async (t) => play(t, { HTTP_FAST_PATH: 'off', REDIS_URL: (await startRedis(t)).url }));

t.test('with PostgreSQL and Redis, and without the fast path with PostgreSQL alone', async (t) => {
  const server = await startPostgres(t);
  await play(t, { HTTP_FAST_PATH: 'on', DATABASE_URL: server.url(await server.database()), REDIS_URL: (await startRedis(t)).url });
  await play(t, { HTTP_FAST_PATH: 'off', DATABASE_URL: server.url(await server.database()) });
});
