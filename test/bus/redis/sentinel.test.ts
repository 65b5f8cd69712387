import { createServer } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import t from 'tap';
import { RedisBus } from '../../../src/bus/redis/redis.ts';
import { busContract, Ear, joined } from '../../contract/bus.ts';
import { flows, states, toldOnce } from '../../support/bus.ts';
import { recordingLogger } from '../../support/logger.ts';
import { freePort } from '../../support/ports.ts';
import { MASTER, SentinelServer, startSentinels } from '../../support/redis-sentinel.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const { logger } = recordingLogger();

/** After how long a master counts as dead: milliseconds. A busy machine shall not be taken for that too often; a test that it happens to goes on. */
const DOWN_AFTER = 5_000;

const CHANNEL = 'tidings:log-failover';

/** A client of Redis that is not ours. */
function client(t: Scope, { url }: RedisServer): Redis {
  const redis = new Redis(url);
  redis.on('error', () => undefined);
  t.teardown(() => redis.disconnect());
  return redis;
}

/** How many listen there. */
async function listeners(redis: Redis): Promise<number> {
  const [, count] = (await redis.pubsub('NUMSUB', CHANNEL)) as [string, number];
  return count;
}

interface Pair {
  readonly bus: RedisBus;
  readonly other: RedisBus;
  readonly ears: readonly [Ear, Ear];
  /** What `bus` wrote to the log. */
  readonly lines: string[];
}

async function pair(t: Scope, url: string): Promise<Pair> {
  const { logger: recorded, lines } = recordingLogger();
  const bus = new RedisBus({ url, logger: recorded });
  const other = new RedisBus({ url, logger });
  const { ear } = await joined(t, bus, 'log-failover');
  const { ear: otherEar } = await joined(t, other, 'log-failover');
  return { bus, other, ears: [ear, otherEar], lines };
}

/** Both ways: what either publishes, the other hears. */
async function bothFlow({ bus, other, ears }: Pair): Promise<void> {
  await flows(bus, ears[1]);
  await flows(other, ears[0]);
}

/** Most of it is waiting for sentinels. */
t.jobs = 2;

busContract(async (t) => {
  const { url } = await startSentinels(t, { password: 'p@ss/w:rd %', sentinelPassword: 'of?the&sentinels=' });
  return { name: 'redis through sentinels', make: () => new RedisBus({ url, logger }) };
});

t.test('the master is killed: it is degraded, and goes on with the one that is promoted', async (t) => {
  const fleet = await startSentinels(t, { downAfter: DOWN_AFTER });
  const both = await pair(t, fleet.url);
  const master = await fleet.master();
  const wakes = both.ears.map((ear) => ear.wakes);
  // As long as there is no majority of sentinels nobody is promoted.
  await fleet.stopMost();
  await master.stop();
  await until('both are degraded', () => both.bus.state === 'degraded' && both.other.state === 'degraded');
  await fleet.startAll();
  await until('both are up', () => both.bus.state === 'up' && both.other.state === 'up');
  t.not(await fleet.master(), master);
  await bothFlow(both);
  t.ok(both.ears.every((ear, index) => ear.wakes > wakes[index]!), 'both looked at the log');
  toldOnce(t, both.lines, 1);
});

t.test('a master that was replaced and lives on, as one or as a replica, is left for the new one', async (t) => {
  const fleet = await startSentinels(t, { downAfter: DOWN_AFTER });
  const both = await pair(t, fleet.url);
  const old = await fleet.master();
  const admin = client(t, old);
  // As long as the sentinels cannot tell it to follow the new one it stays what it was, and cuts nobody off.
  await admin.call('ACL', 'SETUSER', 'default', '-slaveof', '-replicaof');
  await fleet.failover();
  const fresh = client(t, await fleet.master());
  await until('both listen to the new master only', async () => await listeners(fresh) === 2 && await listeners(admin) === 0);
  t.match(await admin.role(), ['master']);
  await bothFlow(both);

  await admin.call('ACL', 'SETUSER', 'default', '+slaveof', '+replicaof');
  await until('it follows', async () => String(await admin.role()).startsWith('slave'));
  await fleet.whole();
  await fleet.failover();
  const again = client(t, await fleet.master());
  await until('both listen to the newest master', async () => await listeners(again) === 2);
  await bothFlow(both);
});

t.test('sentinels that are dead, or frozen, are not waited for; without any, it goes on with the master it knows', async (t) => {
  const fleet = await startSentinels(t);
  const [dead, frozen, last] = fleet.sentinels;
  await dead!.stop();
  const both = await pair(t, fleet.url);
  const admin = client(t, await fleet.master());
  for (const trouble of [() => process.kill(frozen!.pid, 'SIGSTOP'), () => Promise.all([frozen!.stop(), last!.stop()])]) {
    await trouble();
    const wakes = both.ears.map((ear) => ear.wakes);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until('both listen again', () => both.ears.every((ear, index) => ear.wakes > wakes[index]!) && both.bus.state === 'up' && both.other.state === 'up');
    await bothFlow(both);
  }
  toldOnce(t, both.lines, 2);
});

t.test('no sentinel at the start: joining returns, and the master is found once one is there', async (t) => {
  const fleet = await startSentinels(t);
  for (const sentinel of fleet.sentinels) await sentinel.stop();
  const { logger, lines } = recordingLogger();
  const bus = new RedisBus({ url: fleet.url, logger });
  t.teardown(() => bus.close());
  const ear = new Ear();
  bus.join('log-failover', ear);
  await until('the log tells', () => lines.length > 0);
  t.match(lines[0], /No sentinel names a master \(connect ECONNREFUSED/);
  t.equal(bus.state, 'degraded');
  await fleet.sentinels[1]!.start();
  await until('it is up', () => bus.state === 'up');
  t.ok(ear.wakes > 0);
  t.same(states(lines).slice(0, 2), ['degraded', 'up']);
});

t.test('a start through sentinels says nothing of being degraded', async (t) => {
  const fleet = await startSentinels(t);
  const { lines } = await pair(t, fleet.url);
  t.equal(states(lines)[0], 'up');
});

t.test('a wrong name, a wrong password, and no password: the log says which, and holds none', async (t) => {
  const fleet = await startSentinels(t, { password: 'right-secret', sentinelPassword: 'right-secret' });
  const all: string[] = [];
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    [`/${MASTER}`, '/another', /knows no master of that name/],
    ['?sentinelPassword=right-secret', '?sentinelPassword=wrong-secret', /No sentinel names a master \(WRONGPASS/],
    ['?sentinelPassword=right-secret', '', /No sentinel names a master \(NOAUTH/],
    [':right-secret@', ':wrong-secret@', /"WRONGPASS/],
  ];
  for (const [part, instead, reason] of wrong) {
    const { logger, lines } = recordingLogger();
    const bus = new RedisBus({ url: fleet.url.replace(part, instead), logger });
    t.teardown(() => bus.close());
    bus.join('log-failover', new Ear());
    await until('the log tells', () => lines.length > 0);
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
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, master.certificate!]);
  t.teardown(() => setDefaultCACertificates(before));
  const both = await pair(t, `rediss+sentinel://:over-tls@127.0.0.1:${sentinel.port}/${MASTER}`);
  await bothFlow(both);
  t.equal(await listeners(client(t, master)), 2);
});

t.test('closing leaves no socket and no timer, wherever sentinels and master are', { buffered: false }, async (t) => {
  const fleet = await startSentinels(t);
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const address = silent.address();
  if (address === null || typeof address === 'string') return t.fail('no port');
  const open = (): string => process.getActiveResourcesInfo().filter((name) => /TCPSocket|TCPWRAP|TCPConnect|TLS|Timeout|DNS|GETADDR/i.test(name)).sort().join(' ');
  const places: [string, string, (bus: RedisBus, lines: readonly string[]) => Promise<void>][] = [
    ['up', fleet.url, (bus) => until('up', () => bus.state === 'up')],
    ['just begun', fleet.url, async () => undefined],
    ['nobody there', `redis+sentinel://127.0.0.1:${await freePort()}/${MASTER}`, (_, lines) => until('it was tried', () => lines.length > 0)],
    ['never answered', `redis+sentinel://127.0.0.1:${address.port}/${MASTER}`, () => new Promise((resolve) => silent.once('connection', () => resolve()))],
  ];
  for (const [where, url, reach] of places) {
    const before = open();
    const { logger, lines } = recordingLogger();
    const bus = new RedisBus({ url, logger });
    bus.join('log-handles', new Ear());
    await reach(bus, lines);
    await bus.close();
    await until(`${where}: as before, ${before}, and not ${open()}`, () => open() === before, 10_000);
    t.pass(where);
  }
});
