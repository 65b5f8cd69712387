import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { makeSession } from '../../src/access/credentials/session-text.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { logIn, setCookie } from '../support/sessions.ts';
import { tempFolder } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** Limits as clients meet them. What comes back in an hour does not come back while a test runs. */

const root = makeApiKey();
const keys = Object.fromEntries(['one', 'batch', 'large', 'wrong', 'streams', 'topics', 'keys', 'logins', 'valid'].map((name) => [name, makeApiKey()]));
const accessFile = join(tempFolder(t), 'access.json');
writeFileSync(accessFile, JSON.stringify({ keys: [
  { id: root.id, sha256: root.digest.toString('hex'), name: 'root', admin: true },
  ...Object.entries(keys).map(([name, { id, digest }]) => ({ id, sha256: digest.toString('hex'), name, publish: ['t.>'], subscribe: ['t.>'] })),
] }));

const LIMITS = {
  PUBLISH_LIMIT: '10/h burst 10', ANONYMOUS_PUBLISH_LIMIT: '3/h burst 3', STREAMS_LIMIT: '2', ANONYMOUS_STREAMS_LIMIT: '1', FAILED_LOGINS_LIMIT: '5/h burst 5',
  TOPICS_LIMIT: '3', IDEMPOTENCY_KEYS_LIMIT: '2', BATCH_MESSAGES: '50',
};
const instance = await startInstance(t, { ...LIMITS, ACCESS_FILE: accessFile, JWT_SECRET: SECRET, PUBLIC_PUBLISH: 'open.>', PUBLIC_TOPICS: 'open.>', AUTH_COOKIE: 'session', TRUST_PROXY: 'loopback', LOG_LEVEL: 'info', RETRY_MIN_MS: '20', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);

const as = (name: keyof typeof keys): Record<string, string> => bearer(keys[name]!.text);
const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });
const codeOf = ({ status, body }: Answer): string => status < 300 ? String(status) : `${status} ${(JSON.parse(body) as { code: string }).code}`;
const LIMITED = '429 rate-limited';

function batch(messages: number, headers: Record<string, string>): Promise<Answer> {
  return http.send('POST', '/messages', { 'content-type': 'application/json', ...headers }, JSON.stringify(Array.from({ length: messages }, (_, data) => ({ topic: 't.batch', data }))));
}

/** What is answered so many times. */
async function times(count: number, ask: (index: number) => Promise<Answer>): Promise<string[]> {
  const codes: string[] = [];
  for (let index = 0; index < count; index++) codes.push(codeOf(await ask(index)));
  return codes;
}

function token(sub: string, tokenId: string): string {
  const iat = Math.floor(Date.now() / 1000);
  return hs256({ sub, jti: tokenId, iat, exp: iat + 3600, tidings: { publish: ['t.>'], subscribe: ['t.>'] } });
}

async function head(): Promise<number> {
  const { body } = await http.get('/metrics', bearer(root.text));
  return Number(/^tidings_log_head (\d+)$/m.exec(body)![1]);
}

void t.test('a key publishes its burst, and is then told when to come back; another key is not its business', async (t) => {
  const before = await head();
  t.same(await times(10, () => http.post('t.a', 'x', as('one'))), Array(10).fill('201'));
  const refused = await http.post('t.a', 'x', as('one'));
  t.equal(codeOf(refused), LIMITED);
  t.match(refused.headers, { 'content-type': 'application/problem+json', 'retry-after': /^3\d\d$/, 'ratelimit-policy': '"publish";q=10;w=3600', 'ratelimit': /^"publish";r=0;t=3\d\d$/ });
  t.equal(codeOf(await http.send('POST', '/messages', { 'content-type': 'application/json', ...as('one') }, '[{"topic":"t.a","data":1}]')), LIMITED, 'as a batch, too');
  t.equal(codeOf(await http.get('/topics/t.a/messages', as('one'))), '200', 'reading is another thing');
  t.equal(codeOf(await http.post('t.a', 'x', as('valid'))), '201');
  t.equal(await head(), before + 11);
});

void t.test('a batch counts by its messages, and is published whole or not at all', async (t) => {
  const before = await head();
  t.equal(codeOf(await batch(6, as('batch'))), '201');
  const refused = await batch(7, as('batch'));
  t.equal(codeOf(refused), LIMITED);
  t.match(refused.headers, { ratelimit: /^"publish";r=3;t=\d+$/ }, 'its first message was charged before its body was read');
  t.equal(codeOf(await batch(3, as('batch'))), '201');
  t.equal(await head(), before + 9);
});

void t.test('a batch that is larger than the burst is published when the whole burst is there, and owed', async (t) => {
  t.equal(codeOf(await batch(11, as('large'))), '201');
  const refused = await http.post('t.a', 'x', as('large'));
  t.equal(refused.headers['retry-after'], String(2 * 360));
});

void t.test('a request refused for its head costs nothing', async (t) => {
  t.same(await times(12, () => http.post('other', 'x', as('wrong'))), Array(12).fill('403 forbidden'));
  t.same(await times(12, () => http.post('t.a', 'x', { ...as('wrong'), 'content-encoding': 'gzip' })), Array(12).fill('415 unsupported-media-type'));
  t.same(await times(10, () => http.post('t.a', 'x', as('wrong'))), Array(10).fill('201'));
});

void t.test('all tokens of one subject count together', async (t) => {
  t.same(await times(11, (index) => http.post('t.a', 'x', bearer(token('alice', `token ${index}`)))), [...Array<string>(10).fill('201'), LIMITED]);
  t.equal(codeOf(await http.post('t.a', 'x', bearer(token('bob', 'b')))), '201');
});

void t.test('strangers count by address: their own headers are not believed, and a /64 is one address', async (t) => {
  t.same(await times(4, () => http.post('open.a', 'x', from('192.0.2.1'))), ['201', '201', '201', LIMITED]);
  t.equal(codeOf(await http.post('open.a', 'x', from('198.51.100.7, 192.0.2.1'))), LIMITED, 'the client wrote the first entry');
  t.equal(codeOf(await http.post('open.a', 'x', from('192.0.2.2'))), '201');
  t.same(await times(4, (index) => http.post('open.a', 'x', from(`2001:db8:1:2:${index}::${index}`))), ['201', '201', '201', LIMITED]);
  t.equal(codeOf(await http.post('open.a', 'x', from('2001:db8:1:3::1'))), '201');
  t.equal(codeOf(await http.post('open.a', 'x', { ...as('valid'), ...from('192.0.2.1') })), '201', 'a key counts for itself');
});

void t.test('without a trusted proxy nobody is believed', async (t) => {
  const alone = await startInstance(t, { ANONYMOUS_PUBLISH_LIMIT: '3/h burst 3', PUBLIC_PUBLISH: '>', LOG_LEVEL: 'warn' });
  const other = new Http(t, alone.url);
  t.same(await times(4, (index) => other.post('a', 'x', from(`192.0.2.${index}`))), ['201', '201', '201', LIMITED]);
});

/** The first event: `$open`, or `$busy`. */
async function first(t: Test, path: string, headers: Record<string, string>): Promise<{ stream: SseStream; event: string }> {
  const stream = await openStream(t, `${instance.url}${path}`, { headers });
  t.equal(stream.status, 200);
  const { event } = await stream.next();
  return { stream, event: event! };
}

void t.test('streams and long polls of a key: the next one is told to come back, and comes in when another has ended', async (t) => {
  const path = '/topics/t.quiet/events';
  const one = await first(t, path, as('streams'));
  const two = await first(t, '/events?topic=t.quiet', as('streams'));
  t.same([one.event, two.event], ['$open', '$open']);
  const three = await first(t, path, as('streams'));
  t.equal(three.event, '$busy');
  t.match(JSON.parse(three.stream.events[0]!.data), { reason: 'too-many-streams' });
  await three.stream.ended;
  const poll = '/topics/t.quiet/messages?wait=50';
  t.equal(codeOf(await http.get(poll, as('streams'))), '503 overloaded');
  t.equal(codeOf(await http.get('/topics/t.quiet/messages', as('streams'))), '200', 'a page is no stream');
  t.equal((await http.send('HEAD', path, as('streams'))).status, 200);
  one.stream.destroy();
  let again: Awaited<ReturnType<typeof first>> | undefined;
  await until('the place is free', async () => {
    again = await first(t, path, as('streams'));
    return again.event === '$open';
  });
  again!.stream.destroy();
  await until('it has ended', async () => (await http.get('/topics/t.quiet/messages?wait=1', as('streams'))).status === 200);
  const waiting = http.get(poll, as('streams'));
  await until('the long poll counts', async () => (await first(t, path, as('streams'))).event === '$busy');
  await http.post('t.quiet', 'x', as('valid'));
  t.equal((await waiting).status, 200);
  await until('its place is free', async () => (await http.get('/topics/t.quiet/messages?wait=1&last=0', as('streams'))).status === 200);
});

void t.test('strangers have streams by address', async (t) => {
  const path = '/topics/open.a/events';
  t.equal((await first(t, path, from('192.0.2.1'))).event, '$open');
  t.equal((await first(t, path, from('192.0.2.1'))).event, '$busy');
  t.equal((await first(t, path, from('192.0.2.2'))).event, '$open');
});

void t.test('failed logins of an address: 429 instead of 401, and good credentials go on', async (t) => {
  const bad = (): Record<string, string> => ({ ...bearer(makeApiKey().text), ...from('203.0.113.9') });
  t.same(await times(5, () => http.get('/topics/t.a/messages', bad())), Array(5).fill('401 invalid-credential'));
  for (const ask of [
    () => http.get('/topics/t.a/messages', bad()), () => http.post('t.a', 'x', bad()), () => batch(1, bad()), () => http.get('/keys', bad()), () => http.get('/metrics', bad()),
    () => http.get('/topics/t.a/messages', { authorization: 'Bearer nonsense', ...from('203.0.113.9') }),
    () => http.get('/topics/t.a/messages', { ...bearer(hs256({ sub: 'mallory' }, {}, `${SECRET}!`)), ...from('203.0.113.9') }),
  ]) {
    const refused = await ask();
    t.equal(codeOf(refused), LIMITED);
    t.match(refused.headers, { 'ratelimit-policy': '"failed-logins";q=5;w=3600', 'retry-after': /^\d+$/ });
  }
  t.equal(codeOf(await http.get('/topics/t.a/events', bad())), '401 invalid-credential', 'a library that ends at 401 would come back after 429');
  t.equal(codeOf(await http.get('/healthz', bad())), '200');
  for (const good of [as('valid'), bearer(token('carol', 'c')), bearer(root.text)]) t.equal((await http.get('/topics/open.a/messages', { ...good, ...from('203.0.113.9') })).status, 200);
  t.equal(codeOf(await http.get('/topics/open.a/messages', from('203.0.113.9'))), '200', 'and so does who shows none');
  t.equal(codeOf(await http.get('/topics/t.a/messages', { ...bearer(makeApiKey().text), ...from('203.0.113.10') })), '401 invalid-credential');
});

void t.test('logins of a key: after a hundred at once it is told when to come back', async (t) => {
  const login = (): Promise<Answer> => http.send('POST', '/session', as('logins'));
  // More than come back meanwhile, however slow the machine is.
  let refused: Answer | undefined;
  for (let attempt = 0; refused === undefined && attempt < 1_000; attempt++) {
    const answer = await login();
    if (answer.status === 201) continue;
    t.ok(attempt >= 100, `${attempt} were let in`);
    refused = answer;
  }
  t.equal(codeOf(refused!), LIMITED);
  t.match(refused!.headers, { 'ratelimit-policy': '"sessions";q=100;w=300', 'retry-after': /^\d+$/ });
  t.equal((await http.send('POST', '/session', as('valid'))).status, 201);
});

void t.test('a logout of an unknown session is a failed login; its cookie still goes away', async (t) => {
  const end = (cookie?: string): Promise<Answer> => http.send('DELETE', '/session', { origin: instance.url, ...from('203.0.113.11'), ...(cookie === undefined ? {} : { cookie }) });
  t.same(await times(7, () => end()), Array(7).fill('204'), 'who shows none has not failed');
  t.same(await times(5, () => end(`session=${makeSession().text}`)), Array(5).fill('204'));
  const refused = await end('session=nonsense');
  t.equal(codeOf(refused), LIMITED);
  t.match(setCookie(refused), { name: 'session', value: '', maxAge: 0 });
  const page = await logIn(http, keys['valid']!.text, from('203.0.113.11'));
  t.equal(codeOf(await end(page.cookie)), '204');
  t.match(codeOf(await http.get('/session', { ...page, ...from('203.0.113.12') })), '401', 'a session that is one ends');
});

void t.test('topics: new ones are refused, known ones go on', async (t) => {
  t.same(await times(4, (index) => http.post(`t.of.${index}`, 'x', as('topics'))), ['201', '201', '201', LIMITED]);
  const refused = await http.post('t.of.9', 'x', as('topics'));
  t.match(refused.headers, { 'ratelimit-policy': '"topics";q=3;w=86400' });
  t.equal(codeOf(await http.post('t.of.1', 'x', as('topics'))), '201');
});

void t.test('idempotency keys: known ones cost nothing', async (t) => {
  const keyed = (key: string): Promise<Answer> => http.post('t.a', 'x', { ...as('keys'), 'idempotency-key': key });
  t.same(await times(3, () => keyed('one')), ['201', '201', '201']);
  t.equal(codeOf(await keyed('two')), '201');
  const refused = await keyed('three');
  t.equal(codeOf(refused), LIMITED);
  t.match(refused.headers, { 'ratelimit-policy': '"idempotency-keys";q=2;w=86400' });
  t.equal(codeOf(await http.post('t.a', 'x', as('keys'))), '201');
});

void t.test('refusals are counted by limit, and a few lines name the senders', async (t) => {
  const { body } = await http.get('/metrics', bearer(root.text));
  for (const limit of ['publish', 'streams', 'failed-logins', 'sessions', 'topics', 'idempotency-keys']) t.ok(Number(new RegExp(`^tidings_limited_total\\{limit="${limit}"\\} (\\d+)$`, 'm').exec(body)?.[1]) > 0, limit);
  t.match(body, /^tidings_publishes_refused_total\{code="rate-limited"\} \d+$/m);
  const lines = instance.output.split('\n').filter((line) => line.includes('a limit was reached'));
  t.ok(lines.length > 0 && lines.length <= 10, `${lines.length} lines`);
  t.match(lines[0], `key:${keys['one']!.id}`);
});

void t.test('where there is no access control, nobody is limited', async (t) => {
  const open = await startInstance(t, { ...LIMITS, LOG_LEVEL: 'warn' });
  const other = new Http(t, open.url);
  t.same([...new Set(await times(20, (index) => other.post(`a.${index}`, 'x', { 'idempotency-key': `${index}` })))], ['201']);
  for (let index = 0; index < 4; index++) t.equal((await (await openStream(t, `${open.url}/topics/a/events`)).next()).event, '$open');
});
