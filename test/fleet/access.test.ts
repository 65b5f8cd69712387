import { writeFileSync } from 'node:fs';
import t from 'tap';
import { STORES } from '../chaos/fleet.ts';
import { openStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer, createKey, keysCommand } from '../support/keys-command.ts';
import { startPostgres } from '../support/postgres.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

const ALL = ['--name', 'all', '--publish', '>', '--subscribe', '>'];

t.jobs = STORES.length;

for (const store of STORES) {
  t.test(`${store}: two instances are open to this machine until the first key is made, and closed from then on`, { buffered: true }, async (t) => {
    const server = store === 'postgres' ? await startPostgres(t) : undefined;
    const env = { DATABASE_URL: server === undefined ? await emptyDatabase(t) : server.url(await server.database()), POLL_MS: '50' };
    const instances = [await startInstance(t, env), await startInstance(t, env)];
    const [one, two] = instances.map(({ url }) => new Http(t, url)) as [Http, Http];
    await instances[0]!.says('Everybody who reaches this address may publish and read');
    t.equal((await one.post('a', 'open')).status, 201);
    t.equal((await one.get('/keys')).status, 401, 'nobody administers without a credential, not even here');
    t.equal((await one.send('POST', '/keys', {}, '{"name":"x","admin":true}')).status, 401);

    const { id, key } = await createKey(t, env, ...ALL);
    await until('both are closed', async () => (await one.post('a', 'x')).status === 401 && (await two.post('a', 'x')).status === 401);
    for (const http of [one, two]) {
      t.equal((await http.post('a', 'with the key', bearer(key))).status, 201);
      t.equal((await http.get('/topics/a/messages', { authorization: `Basic ${Buffer.from(`:${key}`).toString('base64')}` })).status, 200);
      t.equal((await http.get('/metrics', bearer(key))).status, 403);
      t.same(JSON.parse((await http.get('/readyz')).body), { status: 'ready' }, 'strangers learn nothing of the inside');
    }

    const rotated = await keysCommand(t, env, 'rotate', id, '--overlap', '1h');
    const fresh = /^tdg_\S+$/m.exec(rotated.output)![0];
    t.equal((await two.post('a', 'the new one', bearer(fresh))).status, 201);
    await until('the change is known', async () => (await two.get('/topics/a/messages', bearer(key))).status === 200);

    const admin = await createKey(t, env, '--name', 'admin', '--admin');
    t.equal((await one.send('DELETE', `/keys/${id}`, bearer(admin.key))).status, 200);
    t.equal((await one.post('a', 'x', bearer(fresh))).status, 401, 'at once where it was revoked');
    await until('the other instance has heard of it', async () => (await two.post('a', 'x', bearer(fresh))).status === 401);
    t.equal((await keysCommand(t, env, 'revoke', admin.id)).code, 0);
    await Promise.all(instances.map((instance) => instance.restart()));
    t.equal((await one.post('a', 'x')).status, 401, 'revoking the last key opens nothing');
    const kept = instances.map(({ output }) => output).join('');
    t.notMatch(kept, new RegExp(`${key.slice(-64)}|${fresh.slice(-64)}|${admin.key.slice(-64)}`), 'no secret is in an output');
  });
}

t.test('on an address that others reach it does not start without a key, and starts with one', async (t) => {
  const env = { DATABASE_URL: await emptyDatabase(t), HOST: '0.0.0.0', ALLOWED_HOSTS: '*' };
  await t.rejects(startInstance(t, env), /HOST: 0\.0\.0\.0 can be reached from other machines, and there is no key; make one \(npx tidings keys create/);
  const { key } = await createKey(t, env, ...ALL);
  const http = new Http(t, (await startInstance(t, env)).url);
  t.equal((await http.post('a', 'x')).status, 401);
  t.equal((await http.post('a', 'x', bearer(key))).status, 201);
});

t.test('while the database is away a key cannot be checked: publishers get 503, streams $busy, and nobody 401', async (t) => {
  const server = await startPostgres(t);
  const env = { DATABASE_URL: server.url(await server.database()), POLL_MS: '50' };
  const { key } = await createKey(t, env, ...ALL);
  const instance = await startInstance(t, env);
  const http = new Http(t, instance.url);
  const open = await openStream(t, `${instance.url}/topics/a/events`, { headers: bearer(key) });
  await open.next();
  await server.stop('immediate');
  await until('it is known that nothing is known', async () => {
    const { status } = await http.get('/topics/a/messages', bearer(key));
    t.ok(status === 200 || status === 503, `never ${status}`);
    return status === 503 && (await http.get('/keys', bearer(key))).status === 503;
  });
  t.equal((await http.get('/metrics', bearer(key))).status, 403, 'metrics do not need the database: the key was no administrator\'s');
  t.equal((await http.post('a', 'x', bearer(key))).status, 503);
  const busy = await openStream(t, `${instance.url}/topics/a/events`, { headers: bearer(key) });
  t.equal((await busy.next()).event, '$busy');
  t.equal((await http.get('/topics/a/messages')).status, 401, 'who sends none is told so as before');
  t.equal((await http.get('/healthz')).status, 200);
  await server.start();
  await until('it goes on by itself', async () => (await http.post('a', 'again', bearer(key))).status === 201);
  t.equal((await open.next()).data, 'again', 'the stream stayed open');
});

t.test('with AUTH=off nobody looks at credentials but for administration, and changes of keys are written down at every level', async (t) => {
  const env = { DATABASE_URL: await emptyDatabase(t), AUTH: 'off', LOG_LEVEL: 'warn' };
  const admin = await createKey(t, env, '--name', 'admin', '--admin');
  const instance = await startInstance(t, env);
  await instance.says('AUTH=off, and keys are not looked at');
  const http = new Http(t, instance.url);
  for (const authorization of ['Negotiate abc', 'Bearer a b', 'Basic !', 'Bearer tdg_x']) t.equal((await http.post('a', 'x', { authorization })).status, 201, authorization);
  t.equal((await http.get('/keys', { authorization: 'Negotiate abc' })).status, 401);
  t.equal((await http.send('POST', '/keys', bearer(admin.key), '{"name":"x","publish":["a"]}')).status, 201);
  await instance.says(/"audit":"key-created".*"by":"key [a-z0-9]{12}","client":"127\.0\.0\.1"/);
});

t.test('idempotency keys of two credentials are two', async (t) => {
  const env = { DATABASE_URL: await emptyDatabase(t) };
  const [alice, bob] = [await createKey(t, env, ...ALL), await createKey(t, env, ...ALL)];
  const http = new Http(t, (await startInstance(t, env)).url);
  const publish = async (key: string, text: string): Promise<string> => {
    const { status, headers } = await http.post('a', text, { ...bearer(key), 'idempotency-key': 'same' });
    return `${status} ${headers['idempotency-replayed'] === undefined ? 'new' : 'again'}`;
  };
  t.same([await publish(alice.key, 'x'), await publish(bob.key, 'y'), await publish(alice.key, 'x'), await publish(alice.key, 'y')], ['201 new', '201 new', '201 again', '422 new']);
});

t.test('a key that a file declares works while the database is away, and from the first request', async (t) => {
  const declared = await keysCommand(t, {}, 'declare', '--name', 'ci', '--publish', 'deploys.>');
  const [entries, key] = [/^keys:\n {2}- \{.*\}$/m.exec(declared.output)![0], /^tdg_\S+$/m.exec(declared.output)![0]];
  const folder = tempFolder(t);
  const file = `${folder}/access.yaml`;
  writeFileSync(file, `${entries}\n`);
  const http = new Http(t, (await startInstance(t, { ACCESS_FILE: file })).url);
  t.equal((await http.post('deploys.api', 'x', bearer(key))).status, 201);
  t.equal((await http.post('other', 'x', bearer(key))).status, 403);
  t.equal((await http.post('deploys.api', 'x')).status, 401);
});
