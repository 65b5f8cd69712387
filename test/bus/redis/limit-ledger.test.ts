import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { RedisLimitLedger } from '../../../src/bus/redis/limit-ledger.ts';
import { HOLD } from '../../../src/bus/redis/limit-scripts.ts';
import { LedgerAway } from '../../../src/limits/ledger.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Link } from '../../support/link.ts';
import { recordingLogger } from '../../support/logger.ts';
import { redisClient } from '../../support/redis-client.ts';
import { startCluster } from '../../support/redis-cluster.ts';
import { startSentinels } from '../../support/redis-sentinel.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

/** Most of it is waiting for servers. */
t.jobs = 2;

/** After how long a node counts as dead. Long enough that a busy machine seldom looks dead. */
const NODE_TIMEOUT_MS = 5_000;

interface Opened {
  readonly ledger: RedisLimitLedger;
  readonly lines: readonly string[];
  /** How often it was said that Redis is back, or may have forgotten everything. */
  readonly returned: () => number;
}

async function open(t: Test, url: string, logId: string, isUp = true): Promise<Opened> {
  const { logger, lines } = recordingLogger();
  const ledger = new RedisLimitLedger({ url, clock: systemClock, logger });
  t.teardown(() => ledger.close());
  let returns = 0;
  ledger.join(logId, () => returns++);
  if (isUp) await until('it is up', () => ledger.isUp);
  return { ledger, lines, returned: () => returns };
}

/** A question again and again, as long as it has no answer because the machine is busy. */
async function answered<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  let answer: { readonly of: Answer } | undefined;
  await until('it answers', async () => {
    try {
      answer = { of: await ask() };
    } catch (error) {
      if (!(error instanceof LedgerAway)) throw error;
    }
    return answer !== undefined;
  });
  return answer!.of;
}

async function countTogether(t: Test, one: RedisLimitLedger, two: RedisLimitLedger): Promise<void> {
  const bucket = randomUUID();
  const spend = (ledger: RedisLimitLedger, costMs: number, onlyWithinMs?: number) => answered(() => ledger.spend([{ bucket, costMs, ...(onlyWithinMs === undefined ? {} : { onlyWithinMs }) }])).then(([balance]) => balance!);
  await spend(one, 3_600_000);
  const { isTaken, fullInMs } = await spend(two, 3_600_000);
  t.ok(isTaken);
  t.ok(fullInMs > 7_000_000 && fullInMs <= 7_200_000, `${fullInMs}`);
  const refused = await spend(one, 1_000, 3_600_000);
  t.notOk(refused.isTaken);
  t.ok(refused.fullInMs <= 7_200_000, 'what was refused costs nothing');
  t.ok((await spend(one, 1_000, 7_200_000)).isTaken);
  t.equal((await spend(two, -10_000_000)).fullInMs, 0, 'more is given back than was taken: it is full');
}

t.test('two ledgers count together', async (t) => {
  const { url } = await startRedis(t);
  const [{ ledger: one }, { ledger: two }] = [await open(t, url, 'log'), await open(t, url, 'log')];
  await countTogether(t, one, two);

  await t.test('topics: both share one count, doubles count once', async (t) => {
    const topics = Array.from({ length: 500 }, (_, index) => `topic.${index}`);
    await answered(() => one.addTopics('alice', topics, 60_000));
    const { topics: count, windowLeftMs } = await answered(() => two.addTopics('alice', topics.map((topic, index) => index < 250 ? topic : `${topic}.b`), 60_000));
    t.ok(count > 750 * 0.95 && count < 750 * 1.05, `${count}`);
    t.ok(windowLeftMs > 0 && windowLeftMs <= 60_000, 'the window began with the first');
  });

  await t.test('places: no more than there are, and the places of a ledger that left are free', async (t) => {
    const { ledger: three } = await open(t, url, 'log');
    t.same(await answered(() => three.hold([{ owner: 'alice', places: 3, most: 5 }, { owner: 'bob', places: 1, most: 5 }])), [true, true]);
    t.same(await answered(() => two.hold([{ owner: 'alice', places: 2, most: 5 }, { owner: 'bob', places: 5, most: 5 }])), [true, false]);
    t.same(await answered(() => one.hold([{ owner: 'alice', places: 1, most: 5 }])), [false]);
    t.same(await answered(() => two.hold([{ owner: 'alice', places: 1 }])), [true], 'one of them was closed');
    t.same(await answered(() => one.hold([{ owner: 'alice', places: 1, most: 5 }])), [true]);
    await three.close();
    t.same(await answered(() => one.hold([{ owner: 'alice', places: 4, most: 5 }])), [true]);
    t.same(await answered(() => one.hold([{ owner: 'alice', places: 5, most: 5 }])), [false]);
  });

  await t.test('another log has counts of its own; every key names its log, holds no name of anybody, and expires', async (t) => {
    const { ledger: other } = await open(t, url, 'other');
    await answered(() => one.spend([{ bucket: 'kept', costMs: 60_000 }]));
    t.equal((await answered(() => other.spend([{ bucket: 'kept', costMs: 60_000, onlyWithinMs: 0 }])))[0]!.isTaken, true);
    const admin = redisClient(t, { url });
    const keys = await admin.keys('*');
    t.ok(keys.length >= 6, keys.join(' '));
    for (const key of keys) {
      t.match(key, /^tidings:\{(log|other)\}:limits:/);
      t.ok(await admin.pttl(key) > 0, `${key} expires`);
    }
  });
});

t.test('a Redis that was restarted, or forgot its scripts or everything, goes on, and is told again', async (t) => {
  const redis = await startRedis(t);
  const { ledger, lines, returned } = await open(t, redis.url, 'log');
  const admin = redisClient(t, redis);
  await admin.script('FLUSH');
  t.ok((await answered(() => ledger.spend([{ bucket: 'b', costMs: 1 }])))[0]!.isTaken);
  t.equal(returned(), 1);
  await admin.flushall();
  await until('it was found out', () => returned() === 2);
  await redis.stop();
  await until('it is away', () => !ledger.isUp);
  await t.rejects(ledger.spend([{ bucket: 'b', costMs: 1 }]), LedgerAway);
  await redis.start();
  await until('it is back', () => ledger.isUp);
  t.equal(returned(), 3);
  t.ok((await answered(() => ledger.spend([{ bucket: 'b', costMs: 1 }])))[0]!.isTaken);
  t.equal(lines.length, 3, 'up, away and up again');
});

t.test('what an instance holds is told in its order, also over a slow network to a Redis that forgets its scripts and learns them again', async (t) => {
  const redis = await startRedis(t);
  const link = await Link.start(t, Number(new URL(redis.url).port));
  const { ledger } = await open(t, redis.url.replace(/:\d+$/, `:${link.port}`), 'log');
  const admin = redisClient(t, redis);
  const hold = (places: number): Promise<readonly boolean[]> => ledger.hold([{ owner: 'alice', places, most: 6 }]);
  await hold(1);
  const played = async (): Promise<number> => [...(await admin.info('commandstats')).matchAll(/^cmdstat_eval\w*:calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0);
  const before = await played();
  await admin.script('FLUSH');
  link.slow(100);
  const first = [hold(2), hold(3)];
  await until('they have reached it', async () => await played() === before + 2);
  await admin.script('LOAD', HOLD);
  t.same(await Promise.all([...first, hold(4)]), [[true], [true], [true]]);
  t.same(Object.values(await admin.hgetall('tidings:{log}:limits:streams:alice')), ['4']);
});

t.test('a Redis that is frozen is not waited for: it counts as away until it answers', async (t) => {
  const redis = await startRedis(t);
  const { ledger, returned } = await open(t, redis.url, 'log');
  process.kill(redis.pid, 'SIGSTOP');
  const frozen = ledger.spend([{ bucket: 'b', costMs: 1 }]).catch((error: unknown) => error);
  await until('it is late', () => !ledger.isUp);
  process.kill(redis.pid, 'SIGCONT');
  await frozen;
  await until('it is up again', () => ledger.isUp);
  t.ok(returned() >= 2, 'and that is said, because nobody told it anything meanwhile');
});

t.test('a user who may publish, and nothing else: the limits stay away, with one line, and the process goes on', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>password', 'allchannels', '+@pubsub', '+@connection');
  const { ledger, lines } = await open(t, redis.url.replace('//', '//app:password@'), 'log', false);
  await until('it is logged', () => lines.length > 0);
  t.notOk(ledger.isUp);
  t.match(lines[0], /limits cannot be counted in Redis.*NOPERM|NOPERM.*limits cannot be counted in Redis/);
  t.notMatch(lines[0], /password/);
});

t.test('a user who may do what the documents name can count', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  const allowed = /needs `(~\S+)` and `([^`]*)`/.exec(readFileSync(join(import.meta.dirname, '../../../docs/limits.md'), 'utf8'))!;
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>password', 'allchannels', '+@pubsub', '+@connection', allowed[1]!, ...allowed[2]!.split(' '));
  const { ledger } = await open(t, redis.url.replace('//', '//app:password@'), 'log');
  t.ok((await answered(() => ledger.spend([{ bucket: 'b', costMs: 1 }])))[0]!.isTaken);
  t.equal((await answered(() => ledger.addTopics('alice', ['a'], 1000))).topics, 1);
  t.same(await answered(() => ledger.hold([{ owner: 'alice', places: 1, most: 2 }])), [true]);
});

t.test('foreign values under its keys: the limits stay away, and the process goes on', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  const { ledger } = await open(t, redis.url, 'log');
  await admin.set('tidings:{log}:limits:text', 'no number');
  t.equal((await answered(() => ledger.spend([{ bucket: 'text', costMs: 1 }])))[0]!.isTaken, true);
  await admin.lpush('tidings:{log}:limits:list', 'x');
  await t.rejects(ledger.spend([{ bucket: 'list', costMs: 1 }]), LedgerAway);
  await until('it is connected to again', () => ledger.isUp);
});

t.test('Sentinel: the ledger is at the master, and follows a failover', async (t) => {
  const fleet = await startSentinels(t);
  const { ledger: one } = await open(t, fleet.url, 'log');
  const { ledger: two } = await open(t, fleet.url, 'log');
  await countTogether(t, one, two);
  await fleet.failover();
  await until('both count at the new master', async () => {
    const master = redisClient(t, await fleet.master());
    await one.spend([{ bucket: 'after', costMs: 60_000 }]).catch(() => undefined);
    await two.spend([{ bucket: 'after', costMs: 60_000 }]).catch(() => undefined);
    return Number(await master.get('tidings:{log}:limits:after')) > 0 && (String(await master.call('CLIENT', 'LIST')).split('name=tidings-limits ').length - 1) === 2;
  });
  await countTogether(t, one, two);
});

t.test('Cluster: the ledgers are at the node that has the keys, and at its replica once it was killed', async (t) => {
  const cluster = await startCluster(t, { nodeTimeout: NODE_TIMEOUT_MS, replicas: true });
  const { ledger: one } = await open(t, cluster.url, 'log-cluster');
  const { ledger: two } = await open(t, cluster.url, 'log-cluster');
  await countTogether(t, one, two);
  const holder = await cluster.of('tidings-limits');
  await holder.server.stop();
  await until('they noticed', () => !one.isUp && !two.isUp);
  const replica = cluster.replicas[cluster.masters.indexOf(holder)]!;
  await until('its replica is promoted', async () => (await replica.client.role())[0] === 'master');
  await until('both are there', () => one.isUp && two.isUp);
  await countTogether(t, one, two);
  t.match(await replica.client.call('CLIENT', 'LIST'), /name=tidings-limits /);
});
