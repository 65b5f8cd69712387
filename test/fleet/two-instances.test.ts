import { join } from 'node:path';
import t from 'tap';
import { Load } from '../support/fleet-load.ts';
import { seeded } from '../support/fleet-random.ts';
import { startInstance } from '../support/instance.ts';
import { startRedis } from '../support/redis.ts';
import { tempFolder } from '../support/temp.ts';

/** Short, so that a run sees many reconnections. Milliseconds. */
const RETRY = { RETRY_MIN_MS: '20', RETRY_MAX_MS: '200' };

t.test('two instances, one Redis, one file: every stream gets every message once, in order, though it is cut and one instance is killed', async (t) => {
  const random = seeded(t);
  const redis = await startRedis(t);
  const env = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, REDIS_URL: redis.url, LOG_LEVEL: 'warn', ...RETRY };
  const [one, two] = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  const load = new Load(t, { urls: [one.url, two.url], random, publishers: 20, streams: 200, cutEvery: 4 });

  await load.open();
  load.start();
  await load.more(800);
  one.kill('SIGKILL');
  await one.exited;
  await load.more(200);
  await one.restart();
  await load.more(500);
  await load.finish();

  t.comment(load.summary);
  t.same(load.gaveUp, [], 'no stream was ever answered with anything but 200');
  t.same(await load.faults(two.url), []);
  t.ok(load.publishers.refused > 0, 'publishers met the instance that was killed');
  t.ok(load.streams.every(({ connections }) => connections > 1), 'each stream was cut');
});
