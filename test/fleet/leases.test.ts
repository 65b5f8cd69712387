import t from 'tap';
import { openStream, type SseStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer, createKey, keysCommand } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Streams and long polls end with the credential that opened them. */

const ALL = ['--name', 'all', '--publish', '>', '--subscribe', '>'];
const ADMIN = ['--name', 'admin', '--admin'];
const FAST = { POLL_MS: '50', RETRY_MIN_MS: '20', RETRY_MAX_MS: '40' };

async function pair(t: Scope, more: Readonly<Record<string, string>> = {}): Promise<{ readonly env: Record<string, string>; readonly instances: readonly [Instance, Instance]; readonly http: readonly [Http, Http] }> {
  const env = { ...FAST, DATABASE_URL: await emptyDatabase(t), ...more };
  const instances = [await startInstance(t, env), await startInstance(t, env)] as const;
  return { env, instances, http: [new Http(t, instances[0].url), new Http(t, instances[1].url)] };
}

async function listen(t: Scope, { url }: Instance, headers: Readonly<Record<string, string>>, path = '/topics/a/events'): Promise<SseStream> {
  const stream = await openStream(t, url + path, { headers });
  if (stream.status === 200) await stream.next();
  return stream;
}

/** It was told to come back, and its connection is closed. */
async function isSentAway(stream: SseStream): Promise<void> {
  await stream.next(({ event }) => event === '$busy');
  await stream.ended;
}

t.test('a key that is revoked on one instance ends its streams and long polls on both, and no others; whoever comes back gets 401', async (t) => {
  const { env, instances, http: [one, two] } = await pair(t);
  const [admin, key, other] = [await createKey(t, env, ...ADMIN), await createKey(t, env, ...ALL), await createKey(t, env, ...ALL)];
  const streams = await Promise.all(instances.map((instance) => listen(t, instance, bearer(key.key))));
  const bystanders = await Promise.all(instances.map((instance) => listen(t, instance, bearer(other.key))));
  const poll = two.get('/topics/a/messages?last=0&wait=50', bearer(key.key));
  await until('it waits', async () => (await two.get('/metrics', bearer(admin.key))).body.includes('\ntidings_long_polls 1\n'));
  t.equal((await one.send('DELETE', `/keys/${key.id}`, bearer(admin.key))).status, 200);
  await Promise.all(streams.map(isSentAway));
  t.match(await poll, { status: 401, body: /"code":"invalid-credential"/ });
  t.equal((await listen(t, instances[1], bearer(key.key))).status, 401);
  await one.post('a', 'goes on', bearer(other.key));
  for (const stream of bystanders) t.equal((await stream.next(({ event }) => event === undefined)).data, 'goes on');
  t.match(await one.get('/metrics', bearer(admin.key)), { body: /^tidings_streams_cut_total\{reason="revoked"\} 1$/m });
  t.match(instances[1].output, /"audit":"streams-cut","credential":"key [a-z0-9]{12}","reason":"revoked","count":2/);
});

t.test('a key that ends: its streams are told how long is left, and end with it; ?control=0 is told nothing', async (t) => {
  const { env, instances: [, two] } = await pair(t);
  const { key } = await createKey(t, env, ...ALL, '--expires', '3s');
  const [stream, plain] = [await listen(t, two, bearer(key)), await openStream(t, `${two.url}/topics/a/events?control=0`, { headers: bearer(key) })];
  const { data } = await stream.next(({ event }) => event === '$expiring');
  const { secondsLeft } = JSON.parse(data) as { secondsLeft: number };
  t.ok(secondsLeft >= 0 && secondsLeft <= 3, data);
  await isSentAway(stream);
  await plain.ended;
  t.same(plain.events, []);
  t.equal((await listen(t, two, bearer(key))).status, 401);
});

t.test('a secret that was replaced ends the streams that it opened when its overlap is over, and not those of the new one', async (t) => {
  const { env, instances, http: [one] } = await pair(t);
  const { id, key } = await createKey(t, env, ...ALL);
  const old = await listen(t, instances[1], bearer(key));
  const { output } = await keysCommand(t, env, 'rotate', id, '--overlap', '2s');
  const fresh = /^tdg_\S+$/m.exec(output)![0];
  const kept = await listen(t, instances[1], bearer(fresh));
  await old.next(({ event }) => event === '$expiring');
  await isSentAway(old);
  await one.post('a', 'to the new one', bearer(fresh));
  t.equal((await kept.next(({ event }) => event === undefined)).data, 'to the new one');
  t.same(kept.events.filter(({ event }) => event === '$expiring'), []);
});

t.test('the first key ends streams and long polls that were open to everybody, on both instances', async (t) => {
  const { env, instances, http: [one] } = await pair(t);
  const streams = await Promise.all(instances.map((instance) => listen(t, instance, {})));
  const poll = one.get('/topics/a/messages?last=0&wait=50');
  await until('it waits', async () => await one.metric('long_polls') === 1);
  await createKey(t, env, ...ALL);
  await Promise.all(streams.map(isSentAway));
  t.match(await poll, { status: 401, body: /"code":"unauthorized"/ });
  t.equal((await listen(t, instances[0], {})).status, 401);
});
