import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { makeSession } from '../../src/access/credentials/session-text.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { logIn, setCookie, type PageHeaders } from '../support/sessions.ts';
import { tempFolder } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';
import { whileItLives } from '../support/while-it-lives.ts';

/** `/session`, as browsers and programs use it. What several instances agree on is in test/fleet/sessions.test.ts, what Chromium does in test/clients/sessions.test.ts. */

const NAME = '__Host-tidings';
const ROOT = makeApiKey();
const DECLARED = makeApiKey();
const file = join(tempFolder(t), 'access.json');
const entry = ({ id, digest }: typeof ROOT, more: object): object => ({ id, sha256: digest.toString('hex'), ...more });
writeFileSync(file, JSON.stringify({ keys: [entry(ROOT, { name: 'root', admin: true, publish: ['>'], subscribe: ['>'] }), entry(DECLARED, { name: 'ci', publish: ['a'], subscribe: ['a'] })] }));

const PAGE = 'https://page.example';
const ENV = { ACCESS_FILE: file, JWT_SECRET: SECRET, AUTH_COOKIE: NAME, POLL_MS: '50' };
const instance = await startInstance(t, { ...ENV, CORS_ORIGINS: PAGE, AUTH_QUERY_TOKEN: 'on' });
const http = new Http(t, instance.url);

interface MadeKey {
  readonly id: string;
  readonly key: string;
}

async function make(request: object = {}): Promise<MadeKey> {
  const { status, body } = await http.send('POST', '/keys', bearer(ROOT.text), JSON.stringify({ name: 'x', publish: ['a'], subscribe: ['a'], ...request }));
  if (status !== 201) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as MadeKey;
}

/** A token that is good for so many more seconds, with the tolerance for clocks in them. */
function token(seconds = 3600): string {
  const now = Math.floor(Date.now() / 1000);
  return hs256({ sub: 'alice', iat: now - 120, exp: now + seconds - 60, tidings: { publish: ['a'], subscribe: ['user.{sub}.>', 'a'] } });
}

const read = async (headers: Readonly<Record<string, string>>, topic = 'a'): Promise<number> => (await http.get(`/topics/${topic}/messages`, headers)).status;
const publish = async (headers: Readonly<Record<string, string>>, topic = 'a'): Promise<number> => (await http.post(topic, 'x', headers)).status;
const whose = async (headers: Readonly<Record<string, string>>): Promise<object> => JSON.parse((await http.get('/session', headers)).body) as object;

function problem({ status, body }: Answer): object {
  return { status, ...(JSON.parse(body) as { code: string; field?: string }) };
}

await t.test('a key or token is exchanged for a cookie that no script and no other site gets, and that may do what the credential may', async (t) => {
  const made = await make();
  for (const [name, credential, expected] of [['key', made.key, { key: made.id }], ['declared key', DECLARED.text, { key: DECLARED.id }], ['token', token(), { subject: 'alice' }]] as const) {
    const answer = await http.send('POST', '/session', bearer(credential));
    t.match({ ...answer, body: JSON.parse(answer.body) as object }, { status: 201, headers: { 'cache-control': 'no-store' }, body: { ...expected, expiresAt: /^2.*Z$/ } }, name);
    const { expiresAt } = JSON.parse(answer.body) as { expiresAt: string };
    const cookie = setCookie(answer);
    t.match(cookie, { name: NAME, value: /^tds_[a-z0-9]{12}_[0-9a-f]{64}$/, path: '/', httpOnly: true, secure: true, sameSite: 'strict', domain: undefined, maxAge: Number });
    t.ok(Math.abs(Date.parse(expiresAt) - Date.now() - cookie.maxAge! * 1000) < 60_000, 'the cookie ends with the session');
    const page = { cookie: `other=1; ${NAME}=${cookie.value}`, origin: instance.url };
    t.same([await read(page), await publish(page), await read(page, 'b'), await publish(page, 'b')], [200, 201, 403, 403], name);
    t.same([await publish({ cookie: page.cookie }), await publish({ ...page, origin: 'https://other.example' })], [403, 403], 'a cookie needs an allowed Origin');
    t.same(await whose(page), { ...expected, expiresAt });
  }
  t.equal(await read(await logIn(http, token()), 'user.alice.inbox'), 200);
  const basic = await http.send('POST', '/session', { authorization: `Basic ${Buffer.from(`:${made.key}`).toString('base64')}` });
  t.equal(basic.status, 201, 'as curl -u sends it');
  t.same(await whose(bearer(made.key)), { key: made.id }, 'a key without a session, and without an end');
  t.match(await http.send('HEAD', '/session', await logIn(http, made.key)), { status: 200, body: '' });
});

await t.test('a session administers nothing, with any key, and idempotency keys belong to the credential', async (t) => {
  const page = await logIn(http, ROOT.text);
  t.same(await Promise.all([http.get('/keys', page), http.get('/metrics', page), http.send('POST', '/keys', page, '{"name":"x","admin":true}')].map(async (answer) => (await answer).status)), [401, 401, 401]);
  const key = { 'idempotency-key': 'once' };
  const first = await http.post('a', 'x', { ...bearer(ROOT.text), ...key });
  t.match(await http.post('a', 'x', { ...page, ...key }), { status: 201, body: first.body, headers: { 'idempotency-replayed': 'true' } });
});

const SESSION = makeSession().text;
const KEY = bearer(DECLARED.text);
const OWN = { origin: instance.url };

const BAD: readonly (readonly [name: string, method: string, path: string, headers: Readonly<Record<string, string>>, status: number, code: string, field: string | undefined])[] = [
  ['nothing', 'POST', '/session', {}, 401, 'unauthorized', 'Authorization'],
  ['a key that is none', 'POST', '/session', bearer(makeApiKey().text), 401, 'invalid-credential', 'Authorization'],
  ['a key in the URL', 'POST', `/session?access_token=${DECLARED.text}`, {}, 401, 'unauthorized', 'Authorization'],
  ['a key in the cookie', 'POST', '/session', { ...OWN, cookie: `${NAME}=${DECLARED.text}` }, 401, 'unauthorized', 'Authorization'],
  ['a session as Bearer', 'POST', '/session', bearer(SESSION), 401, 'invalid-credential', 'Authorization'],
  ['a session as a password', 'POST', '/session', { authorization: `Basic ${Buffer.from(`:${SESSION}`).toString('base64')}` }, 401, 'invalid-credential', 'Authorization'],
  ['two cookies', 'POST', '/session', { ...KEY, cookie: `${NAME}=a; ${NAME}=b` }, 401, 'invalid-credential', 'Cookie'],
  ['a foreign page', 'POST', '/session', { ...KEY, origin: 'https://other.example' }, 403, 'cross-origin', 'Origin'],
  ['a page without an origin', 'POST', '/session', { ...KEY, origin: 'null' }, 403, 'cross-origin', 'Origin'],
  ['a page of another site', 'POST', '/session', { ...KEY, 'sec-fetch-site': 'cross-site' }, 403, 'cross-origin', 'Sec-Fetch-Site'],
  ['a foreign page', 'DELETE', '/session', { origin: 'https://other.example', cookie: `${NAME}=${SESSION}` }, 403, 'cross-origin', 'Origin'],
  ['three cookies', 'DELETE', '/session', { ...OWN, cookie: Array(3).fill(`${NAME}=${SESSION}`).join('; ') }, 401, 'invalid-credential', 'Cookie'],
  ['no origin', 'DELETE', '/session', { cookie: `${NAME}=${SESSION}` }, 403, 'cross-origin', 'Cookie'],
  ['nobody', 'GET', '/session', {}, 401, 'unauthorized', 'Authorization'],
  ['an unknown session', 'GET', '/session', { cookie: `${NAME}=${SESSION}` }, 401, 'invalid-credential', 'Cookie'],
  ['half a session', 'GET', '/session', { cookie: `${NAME}=${SESSION.slice(0, -1)}` }, 401, 'invalid-credential', 'Cookie'],
  ['two cookies', 'GET', '/session', { cookie: `${NAME}=a; ${NAME}=b` }, 401, 'invalid-credential', 'Cookie'],
  ['a foreign page', 'GET', '/session', { cookie: `${NAME}=${SESSION}`, origin: 'https://other.example' }, 403, 'cross-origin', 'Cookie'],
  ['an unknown session', 'GET', '/topics/a/messages', { cookie: `${NAME}=${SESSION}` }, 401, 'invalid-credential', 'Cookie'],
  ['a session in the URL', 'GET', `/topics/a/messages?access_token=${SESSION}`, {}, 401, 'invalid-credential', 'access_token'],
  ['a session as Bearer', 'GET', '/topics/a/messages', bearer(SESSION), 401, 'invalid-credential', 'Authorization'],
  ['another method', 'PUT', '/session', KEY, 405, 'method-not-allowed', undefined],
];

await t.test('refusals', async (t) => {
  for (const [name, method, path, headers, status, code, field] of BAD) {
    const answer = await http.send(method, path, headers);
    t.match(problem(answer), { status, code, ...(field === undefined ? {} : { field }) }, `${method} ${path.slice(0, 20)} with ${name}`);
    t.equal(answer.headers['set-cookie'], undefined);
    t.equal(answer.headers['cache-control'], 'no-store');
  }
  const good = await logIn(http, DECLARED.text);
  const text = good.cookie.split('=')[1]!;
  t.same([await read(bearer(text)), (await http.get(`/topics/a/messages?access_token=${text}`)).status, await read({ authorization: `Basic ${Buffer.from(`${text}:`).toString('base64')}` })], [401, 401, 401], 'a good session counts in its cookie only');
  t.equal(await read({ cookie: `${good.cookie}; ${good.cookie}` }), 401);
  t.equal(await read({ cookie: good.cookie.replace(/.$/, (last) => (last === '0' ? '1' : '0')) }), 401, 'a wrong secret');
  t.equal(await read({ cookie: good.cookie.toUpperCase() }), 401, 'a cookie of another name is none');
});

await t.test('a session ends with its logout, and the cookie with it; again, and with a cookie that is not good, that is the same', async (t) => {
  const page = await logIn(http, DECLARED.text);
  const other = await logIn(http, DECLARED.text);
  t.equal((await http.send('DELETE', '/session', { origin: 'https://other.example', cookie: page.cookie })).status, 403);
  t.equal(await read(page), 200, 'a foreign page logs nobody out');
  for (const cookie of [page.cookie, page.cookie, `${NAME}=`, `${NAME}=x`, `${NAME}=${DECLARED.text}`, `${NAME}=${SESSION}`, `${NAME}="\\`, `${other.cookie.slice(0, -64)}${'0'.repeat(64)}`]) {
    const answer = await http.send('DELETE', '/session', { ...OWN, cookie });
    t.match(answer, { status: 204, body: '', headers: { 'cache-control': 'no-store' } }, cookie);
    t.match(setCookie(answer), { name: NAME, value: '', maxAge: 0, path: '/', secure: true, httpOnly: true, sameSite: 'strict' });
  }
  t.same([await read(page), await read(other)], [401, 200], 'at once, and no other');
  t.equal((await http.send('DELETE', '/session')).status, 204, 'who has none has none');
  const [one, two] = [await logIn(http, DECLARED.text), await logIn(http, DECLARED.text)];
  t.equal((await http.send('DELETE', '/session', { ...OWN, cookie: `${one.cookie}; ${two.cookie}` })).status, 204);
  t.same([await read(one), await read(two)], [401, 401], 'of two, both');
});

await t.test('a login ends the session that came along, so that nobody can plant one', async (t) => {
  const planted = await logIn(http, DECLARED.text);
  const refused = await http.send('POST', '/session', { ...bearer(makeApiKey().text), ...planted });
  t.equal(refused.status, 401);
  t.equal(await read(planted), 200, 'a login that failed ends nothing');
  const page = await logIn(http, token(), planted);
  t.not(page.cookie, planted.cookie);
  t.same([await read(planted), await read(page)], [401, 200]);
  const guessed = { cookie: `${page.cookie.slice(0, -64)}${'0'.repeat(64)}` };
  const next = await logIn(http, token(), guessed);
  t.same([await read(page), await read(next)], [200, 200], 'who knows an id alone ends nothing');
});

await t.test('a session ends with its credential', async (t) => {
  const ends = async (t: Test, name: string, page: PageHeaders, why: RegExp): Promise<void> => {
    await until(name, async () => await read(page) === 401);
    t.match(problem(await http.get('/topics/a/messages', page)), { code: 'invalid-credential', detail: why }, name);
    t.equal(await publish(page), 401);
  };
  const [revoked, rotated, overlapping] = [await make(), await make(), await make()];
  const pages = await Promise.all([revoked, rotated, overlapping].map(({ key }) => logIn(http, key)));
  t.same(await Promise.all(pages.map((page) => read(page))), [200, 200, 200]);
  /** A session of it that was good; undefined where its credential was over too soon for that. */
  const inTime = async (credential: string): Promise<PageHeaders | undefined> => {
    const page = await logIn(http, credential).catch((error: unknown) => {
      if (!String(error).includes('"status":401')) throw error;
    });
    return page !== undefined && await read(page) === 200 ? page : undefined;
  };
  const [shortKey, shortToken] = await Promise.all([whileItLives(2, async (seconds) => inTime((await make({ expiresInSeconds: seconds })).key)), whileItLives(3, (seconds) => inTime(token(seconds)))]);
  await http.send('DELETE', `/keys/${revoked.id}`, bearer(ROOT.text));
  await http.send('POST', `/keys/${rotated.id}/rotate`, bearer(ROOT.text), '{}');
  await http.send('POST', `/keys/${overlapping.id}/rotate`, bearer(ROOT.text), '{"overlapSeconds":3600}');
  t.same(await Promise.all(pages.map((page) => read(page))), [401, 401, 200], 'at once where it was changed; a secret that overlaps is good');
  await ends(t, 'its key was revoked', pages[0]!, /was revoked/);
  await ends(t, 'its key was rotated away', pages[1]!, /no such API key/);
  await ends(t, 'its key has expired', shortKey, /has expired/);
  await ends(t, 'its token has expired', shortToken, /session has expired/);
});

await t.test('pages of named origins are told, and may send and keep the cookie; nobody else', async (t) => {
  const page = { origin: PAGE };
  t.match((await http.send('OPTIONS', '/session', { ...page, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' })), {
    status: 204, headers: { 'access-control-allow-origin': PAGE, 'access-control-allow-credentials': 'true', 'access-control-allow-headers': /Authorization/, 'access-control-allow-methods': /DELETE/, vary: 'Origin' },
  });
  for (const method of ['POST', 'GET', 'DELETE']) {
    const answer = await http.send(method, '/session', { ...page, ...KEY });
    t.match(answer.headers, { 'access-control-allow-origin': PAGE, 'access-control-allow-credentials': 'true', vary: 'Origin', 'cache-control': 'no-store' }, method);
  }
});

await t.test('an end counts at once where it was asked for, however rarely the instance polls', async (t) => {
  const seldom = new Http(t, (await startInstance(t, { ...ENV, POLL_MS: '60000', CORS_ORIGINS: '*' })).url);
  const status = async ({ cookie }: PageHeaders): Promise<number> => (await seldom.get('/topics/a/messages', { cookie })).status;
  const first = await logIn(seldom, DECLARED.text);
  t.equal(await status(first), 200);
  const second = await logIn(seldom, DECLARED.text, first);
  t.same([await status(first), await status(second)], [401, 200], 'a login ends the one before');
  await seldom.send('DELETE', '/session', second);
  t.equal(await status(second), 401, 'a logout');

  await t.test('an origin that only * lets in gets no session, and ends none', async (t) => {
    const page = await logIn(seldom, DECLARED.text);
    t.match(problem(await seldom.send('POST', '/session', { ...KEY, origin: PAGE })), { status: 403, code: 'cross-origin' });
    t.match(problem(await seldom.send('POST', '/session', { ...KEY, 'sec-fetch-site': 'cross-site' })), { status: 403, code: 'cross-origin' });
    t.match(problem(await seldom.send('DELETE', '/session', { ...page, origin: PAGE })), { status: 403, code: 'cross-origin' });
    t.equal((await seldom.get('/topics/a/messages', page)).status, 200);
    t.equal((await seldom.send('POST', '/session', KEY)).status, 201, 'a program says no origin');
  });
});

await t.test('without the setting there are no sessions; with AUTH=off there are', async (t) => {
  const { AUTH_COOKIE: _, ...without } = ENV;
  const plain = new Http(t, (await startInstance(t, without)).url);
  for (const method of ['POST', 'GET', 'HEAD', 'DELETE']) {
    const answer = await plain.send(method, '/session', KEY);
    t.equal(answer.status, 404, method);
    if (method !== 'HEAD') t.match(problem(answer), { code: 'not-found', detail: /AUTH_COOKIE/ });
  }
  const off = new Http(t, (await startInstance(t, { ...ENV, AUTH: 'off' })).url);
  t.equal((await off.send('POST', '/session')).status, 401, 'where everybody may come in there is nobody to have one');
  const page = await logIn(off, DECLARED.text);
  t.equal((await off.send('DELETE', '/session', page)).status, 204);
});

await t.test('sessions are counted, and audited without their secrets', async (t) => {
  const page = await logIn(http, token());
  const id = page.cookie.split('_').at(-2)!;
  await http.send('DELETE', '/session', page);
  await instance.says(new RegExp(`"audit":"session-made","session":"${id}","by":"subject alice","client":"127.0.0.1"`));
  await instance.says(new RegExp(`"audit":"session-ended","session":"${id}","of":"subject alice","client":"127.0.0.1"`));
  t.notMatch(instance.output, new RegExp(page.cookie.slice(-64)));
  t.notMatch(instance.output, new RegExp(DECLARED.text.slice(-64)));
  const { body } = await http.get('/metrics', bearer(ROOT.text));
  for (const name of ['made', 'ended']) t.match(body, new RegExp(`^tidings_sessions_${name}_total [1-9]`, 'm'));
});
