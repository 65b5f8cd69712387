import t from 'tap';
import { RedisBus } from '../../../src/bus/redis/redis.ts';
import { busContract, Ear, joined } from '../../contract/bus.ts';
import { flows, states } from '../../support/bus.ts';
import { recordingLogger } from '../../support/logger.ts';
import { clusterInfo, startCluster } from '../../support/redis-cluster.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const { logger } = recordingLogger();

/** After how long a node counts as dead: milliseconds. A busy machine shall not be taken for that too often; a test that it happens to goes on. */
const NODE_TIMEOUT = 5_000;

/** Most of it is waiting for nodes. */
t.jobs = 2;

busContract(async (t) => {
  const { url } = await startCluster(t);
  return { name: 'redis cluster', make: () => new RedisBus({ url, logger }) };
});

t.test('a master is killed: connections go to another node at once, and its replica is promoted', async (t) => {
  const cluster = await startCluster(t, { nodeTimeout: NODE_TIMEOUT, replicas: true });
  const { logger: recorded, lines } = recordingLogger();
  const bus = new RedisBus({ url: cluster.url, logger: recorded });
  const { ear } = await joined(t, bus, 'log-cluster');
  const killed = await cluster.of('tidings-subscriber');
  const other = new RedisBus({ url: cluster.url, logger });
  const { ear: otherEar } = await joined(t, other, 'log-cluster');
  const { wakes } = ear;
  await killed.server.stop();
  await until('it listens elsewhere', () => ear.wakes > wakes && bus.state === 'up' && other.state === 'up');
  t.match(states(lines).slice(0, 2), ['up', 'degraded'], 'it said so meanwhile');
  await flows(bus, otherEar);
  await flows(other, ear);

  const replica = cluster.replicas[cluster.masters.indexOf(killed)]!;
  const survivor = cluster.masters.find((node) => node !== killed)!;
  await until('its replica is promoted', async () => (await replica.client.role())[0] === 'master');
  await until('the cluster is well', async () => (await clusterInfo(survivor)).includes('cluster_state:ok'));
  await flows(bus, otherEar);
  await flows(other, ear);
});

t.test('a node that is cut off from most others is not used, though it answers', async (t) => {
  const cluster = await startCluster(t, { nodeTimeout: NODE_TIMEOUT });
  const [last, ...rest] = cluster.masters;
  const { logger: recorded, lines } = recordingLogger();
  const url = `redis+cluster://127.0.0.1:${last!.server.port}`;
  const bus = new RedisBus({ url, logger: recorded });
  const other = new RedisBus({ url: cluster.url, logger });
  const { ear } = await joined(t, bus, 'log-cluster');
  const { ear: otherEar } = await joined(t, other, 'log-cluster');
  for (const { server } of rest) process.kill(server.pid, 'SIGSTOP');
  await until('it is degraded', () => bus.state === 'degraded' && other.state === 'degraded');
  t.equal(await last!.client.ping(), 'PONG');
  t.match(lines.join(''), /does not see most masters of the cluster/);
  for (const { server } of rest) process.kill(server.pid, 'SIGCONT');
  await until('both are up', () => bus.state === 'up' && other.state === 'up');
  await flows(bus, otherEar);
  await flows(other, ear);
});

t.test('a server that is no cluster is not taken for one', async (t) => {
  const { port } = await startRedis(t);
  const { logger, lines } = recordingLogger();
  const bus = new RedisBus({ url: `redis+cluster://127.0.0.1:${port}`, logger });
  t.teardown(() => bus.close());
  bus.join('log-cluster', new Ear());
  await until('the log tells', () => lines.length > 0);
  t.match(lines[0], /cluster support disabled/);
  t.equal(bus.state, 'degraded');
});

t.test('a user who may not ask about the cluster can use it', async (t) => {
  const cluster = await startCluster(t);
  for (const { client } of cluster.masters) await client.call('ACL', 'SETUSER', 'app', 'on', '>us€r?pw', 'allchannels', '+@pubsub', '+@connection');
  const url = cluster.url.replace('//', `//app:${encodeURIComponent('us€r?pw')}@`);
  const bus = new RedisBus({ url, logger });
  await joined(t, bus, 'log-cluster');
  const { ear } = await joined(t, new RedisBus({ url, logger }), 'log-cluster');
  await flows(bus, ear);
  t.pass('messages flow');
});
