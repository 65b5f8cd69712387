import { createServer } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import t from 'tap';
import type { Bus } from '../../../src/bus/bus.ts';
import { busContract } from '../../contract/bus.ts';
import { bothAre, bothFlow, busPair, leftBeside, loggedOnce, openBus, openResources, redisBus, states } from '../../support/bus.ts';
import { listening } from '../../support/listening.ts';
import { recordingLogger } from '../../support/logger.ts';
import { freePort } from '../../support/ports.ts';
import { redisClient } from '../../support/redis-client.ts';
import { MASTER, SentinelServer, startSentinels } from '../../support/redis-sentinel.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const { logger } = recordingLogger();

/** After how long a master counts as dead. Long enough that a busy machine seldom looks dead; a test goes on when one does. */
const DOWN_AFTER_MS = 5_000;

const LOG_ID = 'log-failover';
const CHANNEL = `tidings:${LOG_ID}`;

/** How many subscribe to the channel there. */
async function listeners(redis: Redis): Promise<number> {
  const [, count] = (await redis.pubsub('NUMSUB', CHANNEL)) as [string, number];
  return count;
}

/** Most of it is waiting for sentinels. */
t.jobs = 2;

busContract(async (t) => {
  const { url } = await startSentinels(t, { password: 'p@ss/w:rd %', sentinelPassword: 'of?the&sentinels=' });
  return { name: 'redis through sentinels', make: () => redisBus({ url, logger }) };
});

t.test('the master is killed: it is degraded, and goes on with the one that is promoted', async (t) => {
  const fleet = await startSentinels(t, { downAfter: DOWN_AFTER_MS });
  const both = await busPair(t, fleet.url, LOG_ID);
  const master = await fleet.master();
  const { ear, otherEar } = both;
  const wakes = [ear.wakes, otherEar.wakes];
  // As long as there is no majority of sentinels nobody is promoted.
  await fleet.stopMost();
  await master.stop();
  await bothAre(both, 'degraded');
  await fleet.startAll();
  await bothAre(both, 'up');
  t.not(await fleet.master(), master);
  await bothFlow(both);
  t.ok(ear.wakes > wakes[0]! && otherEar.wakes > wakes[1]!, 'both looked at the log');
  loggedOnce(t, both.lines, 1);
});

t.test('a master that was replaced and lives on, as one or as a replica, is left for the new one', async (t) => {
  const fleet = await startSentinels(t, { downAfter: DOWN_AFTER_MS });
  const both = await busPair(t, fleet.url, LOG_ID);
  const old = await fleet.master();
  const admin = redisClient(t, old);
  // As long as the sentinels cannot tell it to follow the new one it stays what it was, and cuts nobody off.
  await admin.call('ACL', 'SETUSER', 'default', '-slaveof', '-replicaof');
  await fleet.failover();
  const fresh = redisClient(t, await fleet.master());
  await until('both listen to the new master only', async () => await listeners(fresh) === 2 && await listeners(admin) === 0);
  t.match(await admin.role(), ['master']);
  await bothFlow(both);

  await admin.call('ACL', 'SETUSER', 'default', '+slaveof', '+replicaof');
  await until('it follows', async () => String(await admin.role()).startsWith('slave'));
  await fleet.whole();
  await fleet.failover();
  const again = redisClient(t, await fleet.master());
  await until('both listen to the newest master', async () => await listeners(again) === 2);
  await bothFlow(both);
});

t.test('sentinels that are dead, or frozen, are not waited for; without any, it goes on with the master it knows', async (t) => {
  const fleet = await startSentinels(t);
  const [dead, frozen, last] = fleet.sentinels;
  await dead!.stop();
  const both = await busPair(t, fleet.url, LOG_ID);
  const admin = redisClient(t, await fleet.master());
  for (const trouble of [() => process.kill(frozen!.pid, 'SIGSTOP'), () => Promise.all([frozen!.stop(), last!.stop()])]) {
    await trouble();
    const wakes = [both.ear.wakes, both.otherEar.wakes];
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until('both listen again', () => both.ear.wakes > wakes[0]! && both.otherEar.wakes > wakes[1]! && both.bus.state === 'up' && both.other.state === 'up');
    await bothFlow(both);
  }
  loggedOnce(t, both.lines, 2);
});

t.test('no sentinel at first: joining returns, and the master is found once a sentinel is there', async (t) => {
  const fleet = await startSentinels(t);
  for (const sentinel of fleet.sentinels) await sentinel.stop();
  const { bus, ear, lines } = openBus(t, fleet.url, LOG_ID);
  await until('it is logged', () => lines.length > 0);
  t.match(lines[0], /No sentinel names a master \(connect ECONNREFUSED/);
  t.equal(bus.state, 'degraded');
  await fleet.sentinels[1]!.start();
  await until('it is up', () => bus.state === 'up');
  t.ok(ear.wakes > 0);
  t.same(states(lines).slice(0, 2), ['degraded', 'up']);
});

t.test('joining through sentinels logs nothing of being degraded', async (t) => {
  const fleet = await startSentinels(t);
  const { lines } = await busPair(t, fleet.url, LOG_ID);
  t.equal(states(lines)[0], 'up');
});

t.test('a wrong name, a wrong password, and no password: the logged reason says which, and holds none', async (t) => {
  const fleet = await startSentinels(t, { password: 'right-secret', sentinelPassword: 'right-secret' });
  const all: string[] = [];
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    [`/${MASTER}`, '/another', /knows no master of that name/],
    ['?sentinelPassword=right-secret', '?sentinelPassword=wrong-secret', /No sentinel names a master \(WRONGPASS/],
    ['?sentinelPassword=right-secret', '', /No sentinel names a master \(NOAUTH/],
    [':right-secret@', ':wrong-secret@', /"WRONGPASS/],
  ];
  for (const [part, instead, reason] of wrong) {
    const { bus, lines } = openBus(t, fleet.url.replace(part, instead), LOG_ID);
    await until('it is logged', () => lines.length > 0);
    t.match(lines[0], reason);
    t.equal(bus.state, 'degraded');
    await bus.close();
    all.push(...lines);
  }
  t.notMatch(inspect(all, { maxStringLength: null }), /(right|wrong)-secret/);
});

t.test('it works over TLS, to the sentinel and to the master', async (t) => {
  const master = await startRedis(t, { tls: true, password: 'over-tls' });
  const files = ['tls-cert-file', 'tls-ca-cert-file'].map((name) => `${name} ${join(master.folder, 'cert.pem')}`);
  const sentinel = new SentinelServer(t, [
    ...files, `tls-key-file ${join(master.folder, 'key.pem')}`, 'tls-auth-clients no', 'tls-replication yes',
    `sentinel monitor ${MASTER} 127.0.0.1 ${master.port} 1`, `sentinel auth-pass ${MASTER} over-tls`, `sentinel down-after-milliseconds ${MASTER} 60000`,
  ], { tls: true });
  await sentinel.start();
  master.trust();
  const both = await busPair(t, `rediss+sentinel://:over-tls@127.0.0.1:${sentinel.port}/${MASTER}`, LOG_ID);
  await bothFlow(both);
  t.equal(await listeners(redisClient(t, master)), 2);
});

t.test('closing leaves no socket and no timer, wherever sentinels and master are', { buffered: false }, async (t) => {
  const fleet = await startSentinels(t);
  const silent = createServer(() => undefined);
  const silentPort = await listening(silent);
  t.teardown(() => silent.close());
  const places: [string, string, (bus: Bus, lines: readonly string[]) => Promise<void>][] = [
    ['up', fleet.url, (bus) => until('up', () => bus.state === 'up')],
    ['just begun', fleet.url, async () => undefined],
    ['nobody there', `redis+sentinel://127.0.0.1:${await freePort()}/${MASTER}`, (_, lines) => until('it was tried', () => lines.length > 0)],
    ['never answered', `redis+sentinel://127.0.0.1:${silentPort}/${MASTER}`, () => new Promise((resolve) => silent.once('connection', () => resolve()))],
  ];
  for (const [where, url, reach] of places) {
    const before = openResources();
    const { bus, lines } = openBus(t, url, 'log-handles');
    await reach(bus, lines);
    await bus.close();
    t.equal(await leftBeside(before), '', where);
  }
});
