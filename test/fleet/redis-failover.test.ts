import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Load } from '../support/fleet-load.ts';
import { seeded } from '../support/fleet-random.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { allSay } from '../support/readiness.ts';
import { startCluster } from '../support/redis-cluster.ts';
import { startSentinels } from '../support/redis-sentinel.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** After how long a server counts as dead: milliseconds. */
const DOWN_AFTER = 5_000;
/** The longest pause of a publisher, for each there is: most of what is sent is sent while a failover is waited for. Milliseconds. */
const THINK = 30;

/** Two instances under load; everybody sees every message once, in order, whatever `trouble` does to Redis. */
async function under(t: Test, url: string, trouble: (load: Load, instances: readonly Instance[]) => Promise<void>): Promise<void> {
  const env = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, REDIS_URL: url, LOG_LEVEL: 'info', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200' };
  const instances = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  await allSay(t, 'ready', instances);
  const load = new Load(t, { urls: instances.map((one) => one.url), random: seeded(t), publishers: 4, streams: 30, cutEvery: 10, think: THINK });
  await load.open();
  load.start();
  await load.more(100);
  await trouble(load, instances);
  await load.more(100);
  await load.finish();
  t.comment(load.summary);
  t.same(load.gaveUp, []);
  t.same(await load.faults(instances[0].url), []);
}

/** Most of it is waiting for a failover. */
t.jobs = 2;

t.test('Sentinel promotes a replica for a master that was killed: nothing is lost, and /readyz says how it is', async (t) => {
  const fleet = await startSentinels(t, { downAfter: DOWN_AFTER });
  await under(t, fleet.url, async (load, instances) => {
    const master = await fleet.master();
    // As long as there is no majority of sentinels nobody is promoted.
    await fleet.stopMost();
    await master.stop();
    await allSay(t, 'degraded', instances);
    await load.more(100);
    await fleet.startAll();
    await allSay(t, 'ready', instances);
    t.not(await fleet.master(), master);
  });
});

t.test('a master of a cluster is killed: nothing is lost, and the instances go on with other nodes', async (t) => {
  const cluster = await startCluster(t, { nodeTimeout: DOWN_AFTER, replicas: true });
  await under(t, cluster.url, async (load, instances) => {
    const killed = await cluster.of('tidings-subscriber');
    await killed.server.stop();
    // Too short to be seen by asking: the next node is tried after a moment.
    await Promise.race(instances.map((one) => one.says('Redis cannot be used')));
    await allSay(t, 'ready', instances);
    await load.more(100);
    const replica = cluster.replicas[cluster.masters.indexOf(killed)]!;
    await until('its replica is promoted', async () => (await replica.client.role())[0] === 'master');
    await allSay(t, 'ready', instances);
  });
});
