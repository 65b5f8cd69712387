import Database from 'better-sqlite3';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { emptyDatabase, isPostgres } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { startRedis } from '../support/redis.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** An erasure through one instance, as the clients of another one see it. */

const ROOT = makeApiKey();
const HEADERS = bearer(ROOT.text);
const SECRET = 'secret-that-was-published-by-mistake';

interface Fleet {
  readonly one: Instance;
  readonly two: Instance;
  readonly here: Http;
  readonly there: Http;
  readonly databaseUrl: string;
}

async function startTwo(t: Test, more: Readonly<Record<string, string>> = {}): Promise<Fleet> {
  const file = join(tempFolder(t), 'access.json');
  writeFileSync(file, JSON.stringify({ keys: [{ id: ROOT.id, sha256: ROOT.digest.toString('hex'), name: 'root', admin: true, publish: ['>'], subscribe: ['>'] }] }));
  const databaseUrl = await emptyDatabase(t);
  const env = { ACCESS_FILE: file, DATABASE_URL: databaseUrl, LOG_LEVEL: 'info', ...more };
  const [one, two] = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  return { one, two, here: new Http(t, one.url), there: new Http(t, two.url), databaseUrl };
}

async function publish(http: Http, topic: string, data: string): Promise<string> {
  const { status, body } = await http.post(topic, data, HEADERS);
  if (status !== 201) throw new Error(`${status} ${body}`);
  return (JSON.parse(body) as { id: string }).id;
}

async function erase(http: Http, id: string): Promise<void> {
  const { status, body } = await http.send('DELETE', `/messages/${id}`, HEADERS);
  if (status !== 204) throw new Error(`${status} ${body}`);
}

function stream(t: Test, instance: Instance, query: string): Promise<SseStream> {
  return openStream(t, `${instance.url}/topics/a/events${query}`, { headers: HEADERS });
}

/** The files of the database, as bytes. */
function bytesOf(databaseUrl: string): Buffer {
  const folder = dirname(new URL(databaseUrl).pathname);
  return Buffer.concat(readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name, parentPath }) => readFileSync(join(parentPath, name))));
}

async function wiped(http: Http): Promise<void> {
  await until('it is wiped', async () => /^tidings_erasures_unwiped 0$/m.test((await http.get('/metrics', HEADERS)).body));
}

for (const bus of ['Redis', 'no Redis'] as const) {
  t.test(`with ${bus}: a live stream is told; slow and later streams, history and long polls get a tombstone; also after a restart`, async (t) => {
    const { one, two, here, there, databaseUrl } = await startTwo(t, bus === 'Redis' ? { REDIS_URL: (await startRedis(t)).url, POLL_MS: '60000' } : { POLL_MS: '200' });
    const live = await stream(t, two, '');
    const slow = await stream(t, two, '');
    await live.next(({ event }) => event === '$open');
    await slow.next(({ event }) => event === '$open');
    // More than the socket of a client that does not read takes: the rest is behind.
    slow.pause();
    const filling = 'x'.repeat(500_000);
    for (let count = 0; count < 40; count++) await publish(here, 'a', filling);
    const id = await publish(here, 'a', SECRET);
    const last = await publish(here, 'a', 'after it');
    await live.next(({ data }) => data === 'after it');
    await until('the slow stream is behind', async () => /^tidings_readers_behind 1$/m.test((await there.get('/metrics', HEADERS)).body));

    const began = performance.now();
    await erase(here, id);
    t.match(await live.next(({ event }) => event === '$erased'), { data: `{"id":"${id}"}`, id: last });
    t.ok(performance.now() - began < 30_000, 'it was not a poll that comes once a minute');

    const { messages } = JSON.parse((await there.get('/topics/a/messages?last=2', HEADERS)).body) as { messages: object[] };
    t.match(messages, [{ id, erased: true }, { id: last, data: 'after it' }]);
    t.equal((await there.get(`/messages/${id}`, HEADERS)).status, 410);
    const late = await stream(t, two, '?last=2');
    t.match(await late.next(({ event }) => event !== '$open'), { event: '$erased', id });
    slow.resume();
    await slow.next(({ data }) => data === 'after it');
    t.ok(slow.events.some((event) => event.event === '$erased' && event.id === id));
    t.notOk(slow.events.some(({ data }) => data === SECRET));

    const before = last;
    const poll = there.get(`/topics/a/messages?after=${before}&wait=50`, HEADERS);
    const next = await publish(here, 'a', 'the next');
    t.match(JSON.parse((await poll).body), { messages: [{ id: next, data: 'the next' }] });

    await wiped(here);
    if (!isPostgres) t.notOk(bytesOf(databaseUrl).includes(SECRET), 'no file of the database has it');
    await two.restart();
    const again = await stream(t, two, '?last=3');
    t.match(await again.next(({ event }) => event !== '$open'), { event: '$erased', id });
    one.kill('SIGKILL');
  });
}

t.test('an instance that was frozen while others erased lets go of it when it goes on', async (t) => {
  const { two, here, there } = await startTwo(t, { POLL_MS: '200' });
  const id = await publish(here, 'a', SECRET);
  const last = await publish(here, 'a', 'after it');
  const live = await stream(t, two, '?after=start');
  await live.next(({ data }) => data === 'after it');
  two.kill('SIGSTOP');
  await erase(here, id);
  two.kill('SIGCONT');
  t.match(await live.next(({ event }) => event === '$erased'), { data: `{"id":"${id}"}`, id: last });
  const late = await stream(t, two, '?after=start');
  t.match(await late.next(({ event }) => event !== '$open'), { event: '$erased', id });
  t.equal((await there.get(`/messages/${id}`, HEADERS)).status, 410);
});

t.test('kill -9 in the middle of an erasure of a topic: erased messages stay erased, no number is missing, and the next request goes on', async (t) => {
  const { one, two, there, here, databaseUrl } = await startTwo(t, { POLL_MS: '200', BATCH_BYTES: '50000000' });
  const batch = JSON.stringify(Array.from({ length: 1_000 }, (_, n) => ({ topic: n % 2 === 0 ? 'a' : 'b', data: `${SECRET} ${n % 2}` })));
  for (let round = 0; round < 8; round++) t.equal((await here.send('POST', '/messages', { ...HEADERS, 'content-type': 'application/json' }, batch)).status, 201);
  const erasing = here.send('DELETE', '/topics/a/messages?before=0s', HEADERS).catch(() => undefined);
  const count = async (): Promise<{ erased: number; all: number }> => {
    let [erased, all, cursor] = [0, 0, 'start'];
    for (let more = true; more;) {
      const page = JSON.parse((await there.get(`/messages?topic=%3E&limit=1000&after=${cursor}`, HEADERS)).body) as { messages: { erased?: true; topic: string }[]; cursor: string; more: boolean };
      for (const { erased: isErased, topic } of page.messages) {
        if (isErased === true && topic !== 'a') t.fail('another topic');
        erased += isErased === true ? 1 : 0;
        all++;
      }
      ({ cursor, more } = page);
    }
    return { erased, all };
  };
  await until('it has begun', async () => (await count()).erased > 0);
  one.kill('SIGKILL');
  await erasing;
  const { erased, all } = await count();
  t.equal(all, 8_000);
  const rest = JSON.parse((await there.send('DELETE', '/topics/a/messages?before=0s', HEADERS)).body) as { erased: number; more: boolean };
  t.same(rest, { erased: 4_000 - erased, more: false });
  t.same(await count(), { erased: 4_000, all: 8_000 });
  await wiped(there);
  if (!isPostgres) t.notOk(bytesOf(databaseUrl).includes(`${SECRET} 0`), 'also what the killed one had erased');
  two.kill('SIGTERM');
});

if (!isPostgres) t.test('below level 2 nothing is erased, and the answer says so', async (t) => {
  const { here, databaseUrl } = await startTwo(t);
  const id = await publish(here, 'a', SECRET);
  const db = new Database(new URL(databaseUrl).pathname);
  db.exec('UPDATE head SET level = 1');
  db.close();
  for (const path of [`/messages/${id}`, '/topics/a/messages?before=0s']) {
    const { status, body } = await here.send('DELETE', path, HEADERS);
    t.match({ status, ...JSON.parse(body) as object }, { status: 409, code: 'level-too-low' });
  }
  t.match(JSON.parse((await here.get(`/messages/${id}`, HEADERS)).body), { data: SECRET });
});
