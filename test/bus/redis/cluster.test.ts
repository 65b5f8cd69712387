import t from 'tap';
import { busContract, joined } from '../../contract/bus.ts';
import { bothAre, bothFlow, busPair, flows, openBus, redisBus, states } from '../../support/bus.ts';
import { recordingLogger } from '../../support/logger.ts';
import { clusterInfo, startCluster } from '../../support/redis-cluster.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const { logger } = recordingLogger();

/** After how long a node counts as dead. Long enough that a busy machine seldom looks dead; a test goes on when one does. */
const NODE_TIMEOUT_MS = 5_000;

/** Most of it is waiting for nodes. */
t.jobs = 2;

busContract(async (t) => {
  const { url } = await startCluster(t);
  return { name: 'redis cluster', make: () => redisBus({ url, logger }), uncounted: 'each node counts its own subscribers only' };
});

t.test('a master is killed: connections go to another node at once, and its replica is promoted', async (t) => {
  const cluster = await startCluster(t, { nodeTimeout: NODE_TIMEOUT_MS, replicas: true });
  const { logger: recorded, lines } = recordingLogger();
  const bus = redisBus({ url: cluster.url, logger: recorded });
  const { ear } = await joined(t, bus, 'log-cluster');
  const killed = await cluster.of('tidings-subscriber');
  const other = redisBus({ url: cluster.url, logger });
  const { ear: otherEar } = await joined(t, other, 'log-cluster');
  const { wakes } = ear;
  await killed.server.stop();
  await until('it listens elsewhere', () => ear.wakes > wakes && bus.state === 'up' && other.state === 'up');
  t.match(states(lines).slice(0, 2), ['up', 'degraded'], 'it said so meanwhile');
  await bothFlow({ bus, ear, other, otherEar });

  const replica = cluster.replicas[cluster.masters.indexOf(killed)]!;
  const survivor = cluster.masters.find((node) => node !== killed)!;
  await until('its replica is promoted', async () => (await replica.client.role())[0] === 'master');
  await until('the cluster is well', async () => (await clusterInfo(survivor)).includes('cluster_state:ok'));
  await bothFlow({ bus, ear, other, otherEar });
});

t.test('a node that is cut off from most others is not used, though it answers', async (t) => {
  const cluster = await startCluster(t, { nodeTimeout: NODE_TIMEOUT_MS });
  const [last, ...rest] = cluster.masters;
  const { logger: recorded, lines } = recordingLogger();
  const url = `redis+cluster://127.0.0.1:${last!.server.port}`;
  const bus = redisBus({ url, logger: recorded });
  const other = redisBus({ url: cluster.url, logger });
  const { ear } = await joined(t, bus, 'log-cluster');
  const { ear: otherEar } = await joined(t, other, 'log-cluster');
  for (const { server } of rest) process.kill(server.pid, 'SIGSTOP');
  await bothAre({ bus, other }, 'degraded');
  t.equal(await last!.client.ping(), 'PONG');
  t.match(lines.join(''), /does not see most masters of the cluster/);
  for (const { server } of rest) process.kill(server.pid, 'SIGCONT');
  await bothAre({ bus, other }, 'up');
  await bothFlow({ bus, ear, other, otherEar });
});

t.test('a server that is no cluster is not taken for one', async (t) => {
  const { port } = await startRedis(t);
  const { bus, lines } = openBus(t, `redis+cluster://127.0.0.1:${port}`, 'log-cluster');
  await until('it is logged', () => lines.length > 0);
  t.match(lines[0], /cluster support disabled/);
  t.equal(bus.state, 'degraded');
});

t.test('a user who may not ask about the cluster can use it', async (t) => {
  const cluster = await startCluster(t);
  for (const { client } of cluster.masters) await client.call('ACL', 'SETUSER', 'app', 'on', '>us€r?pw', 'allchannels', '+@pubsub', '+@connection');
  const url = cluster.url.replace('//', `//app:${encodeURIComponent('us€r?pw')}@`);
  const { bus, otherEar } = await busPair(t, url, 'log-cluster');
  await flows(bus, otherEar);
  t.pass('messages flow');
});
