import { join } from 'node:path';
import t from 'tap';
import { STORES } from '../chaos/fleet.ts';
import { UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import { SESSIONS_LEVEL } from '../../src/store/contracts/session-store.ts';
import { Child } from '../support/child.ts';
import { COMMAND_ENV } from '../support/compile-cache.ts';
import { openStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer, createKey, keysCommand } from '../support/keys-command.ts';
import { startPostgres } from '../support/postgres.ts';
import { copyProgram, replaceIn } from '../support/program-copy.ts';
import { logIn } from '../support/sessions.ts';
import { until } from '../support/until.ts';

/** Sessions on several instances, and while the version before sessions is being replaced. */

const ALL = ['--name', 'all', '--publish', '>', '--subscribe', '>'];
const COOKIE = { AUTH_COOKIE: 'tidings', POLL_MS: '50' };
const PATH = '/topics/a/messages';

t.jobs = STORES.length;

for (const store of STORES) {
  t.test(`${store}: a session is good on every instance, outlasts them, and ends on all of them`, { buffered: true }, async (t) => {
    const server = store === 'postgres' ? await startPostgres(t) : undefined;
    const env = { ...COOKIE, DATABASE_URL: server === undefined ? await emptyDatabase(t) : server.url(await server.database()) };
    const { id, key } = await createKey(t, env, ...ALL);
    const instances = await Promise.all([startInstance(t, env), startInstance(t, env)]);
    const [one, two] = instances.map(({ url }) => new Http(t, url)) as [Http, Http];
    const [page, other] = [await logIn(one, key), await logIn(two, key)];
    const statuses = async ({ cookie }: { readonly cookie: string }): Promise<number[]> => Promise.all([one, two].map(async (http) => (await http.get(PATH, { cookie })).status));
    t.same([await statuses(page), await statuses(other)], [[200, 200], [200, 200]], 'at once');

    await instances[1].restart();
    t.same(await statuses(page), [200, 200], 'an instance that has just started knows it');
    t.equal((await two.send('DELETE', '/session', { cookie: page.cookie, origin: two.url })).status, 204);
    t.equal((await two.get(PATH, { cookie: page.cookie })).status, 401, 'at once where it was ended');
    await until('the other instance has heard of it', async () => (await statuses(page)).join() === '401,401');
    t.same(await statuses(other), [200, 200]);

    const next = await logIn(one, key, { cookie: other.cookie });
    t.equal((await one.get(PATH, { cookie: other.cookie })).status, 401);
    await until('the other instance has heard that it was replaced', async () => (await statuses(other)).join() === '401,401');

    t.same(await statuses(next), [200, 200]);
    t.equal((await keysCommand(t, env, 'revoke', id)).code, 0);
    await until('both have heard that its key was revoked', async () => (await statuses(next)).join() === '401,401');
  });

  t.test(`${store}: there are no sessions while instances without them may run; after all are replaced and the level is raised, there are`, { buffered: true }, async (t) => {
    const server = store === 'postgres' ? await startPostgres(t) : undefined;
    const env = { ...COOKIE, DATABASE_URL: server === undefined ? await emptyDatabase(t) : server.url(await server.database()) };
    const before = copyProgram(t);
    replaceIn(before, 'store/level.ts', `UNDERSTOOD_LEVEL = ${UNDERSTOOD_LEVEL};`, `UNDERSTOOD_LEVEL = ${SESSIONS_LEVEL - 1};`);
    const instances = [await startInstance(t, env, { entry: join(before, 'src/main.ts') }), await startInstance(t, env)] as const;
    const [old, http] = instances.map(({ url }) => new Http(t, url)) as [Http, Http];
    const { key } = await createKey(t, env, ...ALL);
    for (const each of [old, http]) t.equal((await each.post('a', 'both versions serve', bearer(key))).status, 201);

    const refused = await http.send('POST', '/session', bearer(key));
    t.match(JSON.parse(refused.body), { status: 409, code: 'level-too-low', detail: /the log is at level 1, and this needs level 2.*npm run migrate -- --raise-level/ });
    t.equal(refused.headers['set-cookie'], undefined, 'the old version would take it for a bad credential, and answer 401');
    t.equal((await http.send('DELETE', '/session')).status, 204);

    await instances[0].replace();
    const migrate = new Child(t, process.execPath, [join(import.meta.dirname, '../../src/cli/migrate.ts'), '--raise-level'], { env: { ...COMMAND_ENV, DATABASE_URL: env.DATABASE_URL } });
    t.equal((await migrate.exited).code, 0);
    const { cookie } = await logIn(http, key);
    t.same(await Promise.all([old, http].map(async (each) => (await each.get(PATH, { cookie })).status)), [200, 200]);
  });
}

t.test('while the database is away a session cannot be checked, made or ended: 503, and streams $busy; nobody gets 401', async (t) => {
  const server = await startPostgres(t);
  const env = { ...COOKIE, DATABASE_URL: server.url(await server.database()) };
  const { key } = await createKey(t, env, ...ALL);
  const instance = await startInstance(t, env);
  const http = new Http(t, instance.url);
  const page = await logIn(http, key);
  t.equal((await http.get(PATH, page)).status, 200);
  await server.stop('immediate');
  await until('it is known that nothing is known', async () => {
    const { status } = await http.get('/session', page);
    t.ok(status === 200 || status === 503, `never ${status}`);
    return status === 503;
  });
  t.equal((await http.send('DELETE', '/session', page)).status, 503, 'it is not said to have ended');
  t.equal((await http.send('POST', '/session', bearer(key))).status, 503);
  const busy = await openStream(t, `${instance.url}/topics/a/events`, { headers: page });
  t.equal((await busy.next()).event, '$busy');
  await server.start();
  await until('it goes on by itself', async () => (await http.get(PATH, page)).status === 200);
});
