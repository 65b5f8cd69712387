import type { Page } from 'playwright-core';
import t from 'tap';
import { subjectSegment } from '../../src/access/tokens/subject-template.ts';
import { openContext, servePage, startBrowser } from '../support/browser.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';

/** Users of one application, each with a page in Chromium and a token in a cookie: neither reaches or learns anything of another's, by any way that we could think of. */

const USERS = ['alice', 'bob@example.com', 'a.b', '*', '>', '100%', 'x.>', '$open'] as const;

function token(sub: string): string {
  const iat = Math.floor(Date.now() / 1000);
  return hs256({ sub, iat, exp: iat + 3600, tidings: { publish: ['user.{sub}.>'], subscribe: ['user.{sub}.>', 'news'] } });
}

/** The application's backend. */
const BACKEND = bearer(hs256({ sub: 'backend', iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 3600, tidings: { publish: ['>'], subscribe: ['>'] } }));

const browser = await startBrowser(t, '--host-resolver-rules=MAP foreign.example 127.0.0.1');
const named = await servePage(t);
const instance = await startInstance(t, { JWT_SECRET: SECRET, AUTH_COOKIE: 'token', CORS_ORIGINS: named });
const anyOrigin = await startInstance(t, { JWT_SECRET: SECRET, AUTH_COOKIE: 'token', CORS_ORIGINS: '*' });

async function openAs(t: Scope, sub: string, origin: string, url = instance.url): Promise<Page> {
  const context = await openContext(t, browser);
  // What a cookie of another site would need https for, the addresses of one machine get as one site.
  await context.addCookies([{ name: 'token', value: token(sub), url }]);
  const page = await context.newPage();
  await page.goto(origin);
  return page;
}

/** The status of each request that the page makes with its cookie. */
function ask(page: Page, requests: readonly (readonly [method: string, path: string, body?: string])[], base = ''): Promise<number[]> {
  return page.evaluate<number[]>(`Promise.all(${JSON.stringify(requests)}.map(([method, path, body]) =>
    fetch(${JSON.stringify(base)} + path, { method, body, credentials: 'include', headers: path === '/messages' && body ? { 'content-type': 'application/json' } : {} }).then((answer) => { answer.body?.cancel(); return answer.status; }, () => 0)))`);
}

/** Opens a stream, and answers with its first message, or `closed` where it gave up. */
function first(page: Page, path: string, then = '', base = ''): Promise<string> {
  return page.evaluate<string>(`new Promise((resolve, reject) => {
    const source = new EventSource(${JSON.stringify(base)} + ${JSON.stringify(path)}, { withCredentials: true });
    source.addEventListener('$open', () => (async () => { ${then} })().catch(reject), { once: true });
    source.onmessage = ({ data }) => { source.close(); resolve(data); };
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve('closed'); };
  })`);
}

const topicOf = (sub: string): string => `user.${subjectSegment(sub)}.inbox`;

/** Everything that one user may try to get at another's, whose topic and message are there. */
function attempts(mine: string, theirs: string, message: string): readonly (readonly [method: string, path: string, body?: string])[] {
  const encoded = encodeURIComponent(theirs);
  const raw = encodeURIComponent(`user.${theirs.split('.')[1]}.>`);
  const patterns = ['>', 'user.>', '*.>', 'user.*.inbox', 'user.*.*', '*.*.*', 'user.*.>', theirs, theirs.toUpperCase(), theirs.replace('user', 'user%2E'), `${theirs}.`, `.${theirs}`];
  return [
    ...patterns.flatMap((pattern) => [
      ['GET', `/topics/${encodeURIComponent(pattern)}/messages`], ['GET', `/messages?topic=${encodeURIComponent(pattern)}`], ['GET', `/topics/${encodeURIComponent(pattern)}/events?control=0`],
      ['GET', `/events?topic=${encodeURIComponent(mine)}&topic=${encodeURIComponent(pattern)}`],
    ] as const),
    ['GET', `/topics/${raw}/messages`],
    ['GET', `/topics/${encoded}/messages?last=1`], ['GET', `/topics/${encoded}/messages?after=start`], ['GET', `/topics/${encoded}/messages?wait=1`], ['GET', `/topics/${encoded}/events?lastEventId=${message}`],
    ['GET', `/topics/%75ser%2E${encoded.slice(5)}/messages`],
    ['HEAD', `/topics/${encoded}/messages`], ['HEAD', `/topics/${encoded}/events`],
    ['GET', `/messages/${message}`], ['HEAD', `/messages/${message}`],
    ['POST', `/topics/${encoded}`, 'from a stranger'], ['POST', `/topics/${encoded}?event=x&idempotencyKey=k`, 'from a stranger'],
    ['POST', '/messages', JSON.stringify([{ topic: mine, data: 1 }, { topic: theirs, data: 'from a stranger' }])],
    ['POST', '/topics/news', 'from a stranger'], ['POST', '/topics/user', 'from a stranger'],
    ['GET', '/metrics'], ['GET', '/openapi.json'], ['GET', '/keys'], ['POST', '/keys', '{"name":"x","admin":true}'], ['GET', '/revocations'], ['POST', '/revocations', '{"sub":"bob"}'],
  ];
}

t.test('each user reads and publishes to its own topics, and to no other user\'s', async (t) => {
  const http = new Http(t, instance.url);
  const messages = new Map<string, string>();
  for (const sub of USERS) {
    const { status, body } = await http.post(topicOf(sub), `a secret of ${sub}`, BACKEND);
    t.equal(status, 201);
    messages.set(sub, (JSON.parse(body) as { id: string }).id);
  }
  for (const [index, sub] of USERS.entries()) {
    const page = await openAs(t, sub, `${instance.url}/healthz`);
    const own = encodeURIComponent(topicOf(sub));
    t.equal(await first(page, `/topics/${own}/events?after=start`), `a secret of ${sub}`);
    t.equal(await first(page, `/events?topic=${encodeURIComponent(`user.${subjectSegment(sub)}.>`)}&topic=news&since=0s`, `await fetch('/topics/${own}', { method: 'POST', body: 'mine' })`).then((data) => (JSON.parse(data) as { data: string }).data), 'mine');
    const other = USERS[(index + 1) % USERS.length]!;
    const tried = attempts(topicOf(sub), topicOf(other), messages.get(other)!);
    const statuses = await ask(page, tried);
    t.same(tried.flatMap((request, at) => [400, 401, 403, 404].includes(statuses[at]!) ? [] : [`${request.join(' ')}: ${statuses[at]}`]), [], `${sub} tries to get at ${other}'s`);
    // Whether there is a message is not to be found out.
    t.same(await ask(page, [['GET', `/messages/${messages.get(other)!}`], ['GET', '/messages/abcdefghij-9']]), [404, 404]);
    t.equal(await first(page, `/topics/${encodeURIComponent(topicOf(other))}/events`), 'closed');
  }
  const held = await http.get('/messages?topic=%3E&limit=1000', BACKEND);
  t.notMatch(held.body, /stranger/, 'nothing was published that should not have been');
  t.equal((JSON.parse(held.body) as { messages: unknown[] }).messages.length, 2 * USERS.length);
});

t.test('a cookie counts for pages of this host and of named origins, and for no others', async (t) => {
  const http = new Http(t, instance.url);
  const own = encodeURIComponent(topicOf('alice'));
  const requests = [['POST', `/topics/${own}`, 'with a cookie'], ['GET', `/topics/${own}/messages`]] as const;
  t.same(await ask(await openAs(t, 'alice', `${instance.url}/healthz`), requests), [201, 200], 'its own page');
  t.same(await ask(await openAs(t, 'alice', named), requests, instance.url), [201, 200], 'a page of a named origin');
  const before = (await http.get('/messages?topic=%3E&limit=1000', BACKEND)).body;
  const foreign = await openAs(t, 'alice', (await servePage(t)));
  t.same(await ask(foreign, requests, instance.url), [0, 0], 'a page of another origin sees no answer');
  t.equal((await http.get('/messages?topic=%3E&limit=1000', BACKEND)).body, before, 'and has published nothing');
  t.same(await ask(await openAs(t, 'alice', named, anyOrigin.url), requests, anyOrigin.url), [0, 0], 'nor one that only * lets in');
  t.match(JSON.parse((await new Http(t, anyOrigin.url).get('/messages?topic=%3E', BACKEND)).body), { messages: [], more: false }, 'and has published nothing either');

  // Programs say no origin, or any that they like.
  const cookie = `token=${token('alice')}`;
  t.equal((await http.post(topicOf('alice'), 'x', { cookie })).status, 403, 'what changes something must say its origin');
  t.equal((await http.get(`/topics/${own}/messages`, { cookie })).status, 200);
  t.equal((await http.get(`/topics/${own}/messages`, { cookie: `${cookie}; ${cookie}` })).status, 401);
  t.equal((await http.get(`/topics/${own}/messages`, { cookie: 'token=bad' })).status, 401);
  t.equal((await http.get(`/topics/${own}/messages`, { cookie: 'tokens=bad' })).status, 401);
});

t.test('a page whose cookie ends goes on by a new one without a reconnect; once it is revoked, its EventSource does not come back', async (t) => {
  const http = new Http(t, instance.url);
  const sub = 'dora';
  const own = encodeURIComponent(topicOf(sub));
  const context = await openContext(t, browser);
  const setCookie = (value: string): Promise<void> => context.addCookies([{ name: 'token', value, url: instance.url }]);
  const now = Math.floor(Date.now() / 1000);
  // Some seconds are left of the minute in which a token is accepted after its end.
  const first = hs256({ sub, iat: now - 1_000, exp: now - 52, tidings: { subscribe: ['user.{sub}.>'] } });
  await setCookie(first);
  const other = await openStream(t, `${instance.url}/topics/${own}/events`, { headers: bearer(first) });
  const page = await context.newPage();
  await page.goto(`${instance.url}/healthz`);
  await page.evaluate(`globalThis.seen = []; globalThis.source = new EventSource('/topics/${own}/events');
    for (const name of ['$open', '$expiring', '$busy', 'message', 'error']) source.addEventListener(name, ({ data }) => seen.push([name, data, source.readyState]));
    source.addEventListener('$open', ({ data }) => { globalThis.stream = JSON.parse(data).stream; })`);
  const saw = (name: string, count = 1): Promise<unknown> => page.waitForFunction(`seen.filter(([name]) => name === '${name}').length >= ${count}`);
  await saw('$expiring');
  await setCookie(token(sub));
  t.equal(await page.evaluate("fetch(`/streams/${stream.id}/credential`, { method: 'POST', body: JSON.stringify({ secret: stream.secret }) }).then(({ status }) => status)"), 200);
  // A stream that was opened by the same token, and not renewed.
  await other.next(({ event }) => event === '$busy');
  await http.post(topicOf(sub), 'after the end of the first cookie', BACKEND);
  await saw('message');
  t.same(await page.evaluate('seen.map(([name]) => name)'), ['$open', '$expiring', 'message']);

  const admin = bearer(hs256({ sub: 'root', iat: now, exp: now + 3600, tidings: { admin: true } }));
  t.equal((await http.send('POST', '/revocations', admin, JSON.stringify({ sub }))).status, 201);
  await saw('$busy');
  await page.waitForFunction('source.readyState === EventSource.CLOSED');
  t.same(await page.evaluate('seen.slice(3).map(([name, , state]) => `${name} ${state}`)'), ['$busy 1', 'error 0', 'error 2'], 'it came back once, to a 401, and has given up');
});
