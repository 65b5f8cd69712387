import t, { type Test } from 'tap';
import { emptyDatabase } from '../support/database.ts';
import { Load } from '../support/fleet-load.ts';
import { seeded } from '../support/fleet-random.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { startRedis } from '../support/redis.ts';
import { rounds } from '../support/rounds.ts';

/** Short, so that a run sees many reconnections. Milliseconds. */
const RETRY = { RETRY_MIN_MS: '20', RETRY_MAX_MS: '200' };

/** So many streams that each kind of wish is there several times, and messages before, while and after an instance is away. */
const STREAMS = rounds(40, 200);
const MESSAGES = rounds(200, 400);
/** Publishers take their time: what they send while an instance starts is more than is needed. Milliseconds. */
const THINK = rounds(15, 6);

/** Two instances on one log, with one Redis. */
async function startTwo(t: Test, more: Readonly<Record<string, string>> = {}): Promise<[Instance, Instance]> {
  const redis = await startRedis(t);
  const env = { DATABASE_URL: await emptyDatabase(t), REDIS_URL: redis.url, LOG_LEVEL: 'warn', ...RETRY, ...more };
  return Promise.all([startInstance(t, env), startInstance(t, env)]);
}

t.test('two instances, one Redis, one log: every stream gets every message once, in order, though it is cut and one instance is killed', async (t) => {
  const random = seeded(t);
  const [one, two] = await startTwo(t);
  const load = new Load(t, { urls: [one.url, two.url], random, publishers: 20, streams: STREAMS, webSockets: STREAMS / 4, cutEvery: 4, think: THINK });

  await load.open();
  load.start();
  await load.more(1.5 * MESSAGES);
  one.kill('SIGKILL');
  await one.exited;
  await load.more(MESSAGES / 2);
  await one.restart();
  await load.more(MESSAGES);
  await load.finish();

  t.comment(load.summary);
  t.same(load.gaveUp, [], 'no stream was ever answered with anything but 200');
  t.same(await load.faults(two.url), []);
  t.ok(load.publishers.refused > 0, 'publishers met the instance that was killed');
  t.ok(load.streams.every(({ connections }) => connections > 1), 'each stream was cut');
});

t.test('both instances are replaced one after the other under load: every stream gets every message once, in order', async (t) => {
  const random = seeded(t);
  const instances = await startTwo(t, { DRAIN_SECONDS: '1' });
  const load = new Load(t, { urls: instances.map(({ url }) => url), random, publishers: 6, streams: 50, webSockets: 12, cutEvery: 10, think: THINK });

  await load.open();
  load.start();
  for (const instance of instances) {
    await load.more(100);
    instance.kill('SIGTERM');
    t.same(await instance.exited, { code: 0, signal: null });
    await load.more(100);
    await instance.restart();
  }
  await load.more(100);
  await load.finish();

  t.comment(load.summary);
  t.same(load.gaveUp, [], 'no stream was ever answered with anything but 200');
  t.same(await load.faults(instances[0].url), []);
  t.ok(load.streams.some(({ busy }) => busy > 0), 'streams were sent away');
});
