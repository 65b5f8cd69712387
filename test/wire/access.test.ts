import { t, type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { accessFile, makeKey, ROOT, WATCHER } from '../support/access-state.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { logIn } from '../support/sessions.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** `GET /access` and `GET /keys/{id}/access`: what they say is what a request gets. */

interface Verdict {
  readonly allowed: boolean;
  readonly code?: string;
  readonly detail?: string;
}

type Headers = Readonly<Record<string, string>>;

/** The requests that each action stands for. */
const REQUESTS: Readonly<Record<string, (topic: string) => readonly (readonly [method: string, path: string])[]>> = {
  publish: (topic) => [['POST', `/topics/${topic}`]],
  read: (topic) => [['GET', `/topics/${topic}/messages`], ['GET', `/messages?topic=${topic}`]],
  erase: (topic) => [['DELETE', `/topics/${topic}/messages?before=1h`]],
  presence: (topic) => [['GET', `/topics/${topic}/presence`]],
  operate: () => [['GET', '/metrics'], ['GET', '/instances'], ['GET', '/openapi.json']],
  streams: () => [['GET', '/streams']],
  administer: () => [['GET', '/keys'], ['GET', '/revocations']],
};

const TOPICS = ['own.a', 'own', 'other', 'public.a', 'inbox'];
const PATTERNS = ['own.*', 'own.>', '>', 'public.>'];

const QUESTIONS = Object.keys(REQUESTS).flatMap((action): readonly (readonly [action: string, topic: string | undefined])[] => {
  if (['operate', 'streams', 'administer'].includes(action)) return [[action, undefined]];
  return [...TOPICS, ...(action === 'read' || action === 'presence' ? PATTERNS : [])].map((topic) => [action, topic] as const);
});

/** Whether what is said of each action is what its requests get. @returns How many are allowed. */
async function compare(t: Test, http: Http, name: string, headers: Headers, path: string, asked: Headers): Promise<number> {
  const wrong: string[] = [];
  let allowed = 0;
  const ask = async ([action, topic]: (typeof QUESTIONS)[number]): Promise<void> => {
    const { status, body } = await http.get(`${path}?action=${action}${topic === undefined ? '' : `&topic=${encodeURIComponent(topic)}`}`, asked);
    if (status !== 200) throw new Error(`${status} ${body}`);
    const said = JSON.parse(body) as Verdict;
    if (said.allowed) allowed++;
    for (const [method, request] of REQUESTS[action]!(encodeURIComponent(topic ?? ''))) {
      const answer = await http.send(method, request, headers, method === 'POST' ? 'x' : undefined);
      const problem = answer.status < 400 ? undefined : JSON.parse(answer.body) as { code: string; detail: string };
      if (said.allowed !== (problem === undefined) || said.code !== problem?.code || said.detail !== problem?.detail) wrong.push(`${name}: ${action} ${topic}: ${body}, and ${method} ${request} is ${answer.status} ${problem?.detail}`);
    }
  };
  await Promise.all(QUESTIONS.filter(([action]) => action !== 'erase').map(ask));
  // Only a few erasures may be under way at once.
  for (const question of QUESTIONS.filter(([action]) => action === 'erase')) await ask(question);
  t.same(wrong, [], name);
  return allowed;
}

const right = { publish: ['own.>'], subscribe: ['own.>'], erase: ['own.>'], presence: ['own.>'] };

function token(tidings: object): string {
  const iat = Math.floor(Date.now() / 1000);
  return hs256({ sub: 'alice', iat, exp: iat + 3600, tidings });
}

async function told(http: Http, path: string, headers: Headers = {}): Promise<Readonly<Record<string, unknown>>> {
  const { status, body } = await http.get(path, headers);
  if (status !== 200) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as Readonly<Record<string, unknown>>;
}

const NOTHING = { publish: [], subscribe: [], erase: [], presence: [], operate: false, streams: false, administer: false };

await t.test('with access control, every kind of credential gets its documented answers', async (t) => {
  const instance = await startInstance(t, { ACCESS_FILE: accessFile(t, ['own.>']), AUTH_COOKIE: 'session', JWT_SECRET: SECRET, FAILED_LOGINS_LIMIT: 'off', PUBLIC_TOPICS: 'public.>', PUBLIC_PUBLISH: 'inbox' });
  const http = new Http(t, instance.url);
  const root = bearer(ROOT.text);
  const keys = {
    right: await makeKey(http, { name: 'right', ...right, expiresInSeconds: 3600 }), narrow: await makeKey(http, { name: 'narrow', publish: ['other'], subscribe: ['other', 'own'] }), operator: await makeKey(http, { name: 'operator', operate: true }),
    administrator: await makeKey(http, { name: 'administrator', admin: true }), presence: await makeKey(http, { name: 'presence', presence: ['other'] }),
  };
  const senders: Readonly<Record<string, Headers>> = {
    nobody: {}, ...Object.fromEntries(Object.entries(keys).map(([name, { key }]) => [name, bearer(key)])), declared: root,
    token: bearer(token(right)), 'token to operate': bearer(token({ operate: true })), 'token of an administrator': bearer(token({ admin: true })),
    session: await logIn(http, keys.right.key), 'session of an administrator': await logIn(http, keys.administrator.key), 'session of a token': await logIn(http, token(right)),
  };
  const counts: number[] = [];
  for (const [name, headers] of Object.entries(senders)) counts.push(await compare(t, http, name, headers, '/access', headers));
  t.ok(counts.every((count) => count > 0 && count < QUESTIONS.length) && new Set(counts).size > 3, counts.join());
  t.equal((await http.get('/access', bearer('tdg_x'))).status, 401);

  const [revoked, expired] = [await makeKey(http, { name: 'revoked', ...right }), await makeKey(http, { name: 'expired', expiresInSeconds: 1, ...right })];
  t.match(await told(http, `/keys/${revoked.id}/access?action=read&topic=own.a`, root), { action: 'read', topic: 'own.a', allowed: true });
  await http.send('DELETE', `/keys/${revoked.id}`, root);
  await until('the key has expired', async () => (await http.get('/access', bearer(expired.key))).status === 401);
  for (const { id, key } of [...Object.values(keys), { id: WATCHER.id, key: WATCHER.text }, revoked, expired]) await compare(t, http, id, bearer(key), `/keys/${id}/access`, root);
  for (const { id } of [revoked, expired]) t.strictSame(await told(http, `/keys/${id}/access`, root), NOTHING, 'a key that has ended');
  t.equal((await http.get(`/keys/${keys.right.id}/access`, bearer(keys.right.key))).status, 403, 'others are told nothing of a key');
  for (const id of [makeApiKey().id, 'x']) t.equal((await http.get(`/keys/${id}/access`, root)).status, 404, id);

  const { expires, ...rest } = await told(http, '/access', bearer(keys.right.key));
  t.ok(Math.abs(Date.parse(String(expires)) - Date.now() - 3_600_000) < 600_000, String(expires));
  const listed = { ...NOTHING, publish: ['own.>', 'inbox'], subscribe: ['own.>', 'public.>'], erase: ['own.>'], presence: ['own.>'] };
  t.strictSame(rest, { name: `key ${keys.right.id}`, ...listed });
  t.match(await told(http, `/keys/${keys.right.id}/access`, root), listed, 'an administrator is told the same');
  t.strictSame(await told(http, '/access', root), { name: `key ${ROOT.id}`, publish: ['inbox'], subscribe: ['public.>'], erase: ['>'], presence: ['>'], operate: true, streams: true, administer: true });
  t.strictSame(await told(http, '/access'), { ...NOTHING, publish: ['inbox'], subscribe: ['public.>'] });
});

await t.test('where everybody is let in on purpose, credentials count for administration alone', async (t) => {
  const http = new Http(t, (await startInstance(t, { ACCESS_FILE: accessFile(t, ['own.>']), AUTH: 'off' })).url);
  const narrow = await makeKey(http, { name: 'narrow', subscribe: ['other'], erase: ['own'] });
  for (const [name, headers] of Object.entries({ nobody: {}, narrow: bearer(narrow.key), administrator: bearer(ROOT.text) })) await compare(t, http, name, headers, '/access', headers);
  await compare(t, http, 'asked for', bearer(narrow.key), `/keys/${narrow.id}/access`, bearer(ROOT.text));
  t.match(await told(http, '/access', bearer(narrow.key)), { name: `key ${narrow.id}`, subscribe: ['>'], erase: ['own'], operate: true, administer: false });
});

await t.test('without any access control this machine does everything but administer', async (t) => {
  const http = new Http(t, (await startInstance(t)).url);
  const everybody = { publish: ['>'], subscribe: ['>'], erase: [], presence: ['>'], operate: true, administer: false };
  for (const [name, headers, streams] of [['this machine', {}, true], ['a client behind a proxy', { 'x-forwarded-for': '203.0.113.7' }, false]] as const) {
    t.strictSame(await told(http, '/access', headers), { ...everybody, streams }, name);
    await compare(t, http, name, headers, '/access', headers);
  }
});
