import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import t from 'tap';
import { RedisBus } from '../../../src/bus/redis/redis.ts';
import { Ear, joined, message } from '../../contract/bus.ts';
import { flows, toldOnce } from '../../support/bus.ts';
import { recordingLogger } from '../../support/logger.ts';
import { freePort } from '../../support/ports.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const MIB = 1024 * 1024;

/** The bound that the bus promises: see BUS_OUTSTANDING_BYTES. */
const OUTSTANDING = 8 * MIB;

const { logger } = recordingLogger();

/** A client of Redis that is not ours. */
function client(t: Scope, url: string): Redis {
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  return redis;
}

async function pair(t: Scope, url: string): Promise<{ bus: RedisBus; other: RedisBus; ear: Ear; lines: string[] }> {
  const { logger: recorded, lines } = recordingLogger();
  const bus = new RedisBus({ url, logger: recorded });
  const other = new RedisBus({ url, logger });
  await joined(t, bus, 'log-faults');
  const { ear } = await joined(t, other, 'log-faults');
  return { bus, other, ear, lines };
}

/** Cuts off both of those that listen. */
async function cutListeners(admin: Redis): Promise<void> {
  let cut = 0;
  await until('both were cut off', async () => (cut += Number(await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'))) >= 2);
}

function freeze(t: Scope, redis: RedisServer): void {
  process.kill(redis.pid, 'SIGSTOP');
  t.teardown(() => redis.stop());
}

/** Most of it is waiting for what is given up. What looks at the memory of this process is alone in it. */
t.jobs = 2;

t.test('Redis goes and comes back: it tries for ever, says so once each, and looks at the log', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, ear, lines } = await pair(t, redis.url);
  await redis.stop();
  await until('both are degraded', () => bus.state === 'degraded' && other.state === 'degraded');
  bus.publish([message(1)]);
  // Somebody who hangs up at once stands in for it, to count how often it is tried.
  let attempts = 0;
  const impostor = createServer((socket) => {
    attempts += 1;
    socket.on('error', () => undefined).destroy();
  });
  await new Promise<void>((resolve) => impostor.listen(redis.port, '127.0.0.1', resolve));
  await until('it was tried often', () => attempts >= 10);
  t.equal(bus.state, 'degraded');
  await new Promise((resolve) => impostor.close(resolve));
  const { wakes } = ear;
  await redis.start();
  await until('both are up', () => bus.state === 'up' && other.state === 'up');
  t.ok(ear.wakes > wakes);
  await flows(bus, ear);
  t.notOk(ear.seqs.includes(1), 'what was published meanwhile was dropped');
  toldOnce(t, lines, 1);
});

t.test('Redis away at the start: joining returns, and it is found once it is there', async (t) => {
  const redis = await startRedis(t);
  await redis.stop();
  const { logger, lines } = recordingLogger();
  const bus = new RedisBus({ url: redis.url, logger });
  t.teardown(() => bus.close());
  const ear = new Ear();
  bus.join('log-faults', ear);
  t.equal(bus.state, 'degraded');
  bus.publish([message(1)]);
  await until('the log tells', () => lines.length > 0);
  await redis.start();
  await until('it is up', () => bus.state === 'up');
  t.equal(ear.wakes, 1);
  t.match(lines, [/is degraded/, /is up/]);
});

t.test('a killed subscriber listens again and looks at the log', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, ear } = await pair(t, redis.url);
  const admin = client(t, redis.url);
  for (const round of [1, 2, 3]) {
    const { wakes } = ear;
    await cutListeners(admin);
    await until('it was woken', () => ear.wakes > wakes && bus.state === 'up' && other.state === 'up');
    bus.publish([message(round)]);
    await ear.hears(round);
  }
  t.same(ear.seqs, [1, 2, 3]);
});

t.test('a killed publisher publishes again', async (t) => {
  const redis = await startRedis(t);
  const { bus, ear } = await pair(t, redis.url);
  const admin = client(t, redis.url);
  t.equal(await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'), 2);
  await flows(bus, ear);
  t.pass('it does');
});

t.test('paused for writes, Redis holds nothing up; what fits the bound arrives in order when it goes on', async (t) => {
  const redis = await startRedis(t);
  const { bus, ear } = await pair(t, redis.url);
  const admin = client(t, redis.url);
  await admin.call('CLIENT', 'PAUSE', '600000', 'WRITE');
  for (let seq = 1; seq <= 100; seq++) bus.publish([message(seq)]);
  await admin.call('CLIENT', 'UNPAUSE');
  await ear.hears(100);
  t.same(ear.seqs, Array.from({ length: 100 }, (_, index) => index + 1));
});

t.test('paused for everything and for long, its connections are given up and made again', async (t) => {
  const redis = await startRedis(t);
  const { bus, ear, lines } = await pair(t, redis.url);
  const admin = client(t, redis.url);
  await admin.call('CLIENT', 'PAUSE', '8000', 'ALL');
  bus.publish([message(1)]);
  await until('it is degraded', () => bus.state === 'degraded');
  await until('it is up again', () => bus.state === 'up');
  await flows(bus, ear);
  toldOnce(t, lines, 1);
});

t.test('a frozen Redis: what is published and not answered stays under its bound, and the rest is dropped', { buffered: false }, async (t) => {
  const redis = await startRedis(t);
  const { bus, ear } = await pair(t, redis.url);
  const data = Buffer.alloc(64 * 1024);
  freeze(t, redis);
  const before = process.memoryUsage().arrayBuffers;
  const rounds = 4_000;
  const begun = performance.now();
  for (let seq = 1; seq <= rounds; seq++) {
    bus.publish([message(seq, data)]);
    // Lets sockets and answers have their turn, as between requests.
    if (seq % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const took = performance.now() - begun;
  const grown = process.memoryUsage().arrayBuffers - before;
  process.kill(redis.pid, 'SIGCONT');
  await flows(bus, ear);
  const arrived = ear.messages.filter(({ seq }) => seq <= rounds);
  // ioredis holds a second copy of a command until the socket took it.
  t.ok(grown < 3 * OUTSTANDING, `of ${rounds * data.length / MIB} MiB, ${grown / MIB} MiB were held`);
  t.ok(arrived.length <= OUTSTANDING / data.length, `of ${rounds} messages of 64 KiB, ${arrived.length} were sent`);
  t.ok(arrived.length > 0);
  t.same(arrived.map(({ seq }) => seq), arrived.map((_, index) => index + 1), 'the first ones, in order');
  t.comment(`publishing took ${Math.round(took)} ms; ${arrived.length} arrived; ${Math.round(grown / MIB)} MiB were held`);
});

t.test('many small messages are bounded too', async (t) => {
  const redis = await startRedis(t);
  const { bus, ear } = await pair(t, redis.url);
  freeze(t, redis);
  const rounds = 50_000;
  for (let seq = 1; seq <= rounds; seq++) bus.publish([message(seq, 'x')]);
  process.kill(redis.pid, 'SIGCONT');
  await flows(bus, ear);
  const arrived = ear.seqs.filter((seq) => seq <= rounds).length;
  t.ok(arrived > 1_000 && arrived <= OUTSTANDING / 1024, `${arrived} arrived`);
});

t.test('a Redis that stays frozen is given up, what it owes is let go, and it is found again', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, ear, lines } = await pair(t, redis.url);
  const data = Buffer.alloc(512 * 1024);
  for (const round of [1, 2]) {
    freeze(t, redis);
    for (let seq = 1; seq <= 100; seq++) bus.publish([message(seq, data)]);
    await until('both gave up', () => bus.state === 'degraded' && other.state === 'degraded');
    bus.publish([message(500)]);
    process.kill(redis.pid, 'SIGCONT');
    await until('both are up', () => bus.state === 'up' && other.state === 'up');
    await flows(bus, ear);
    t.notOk(ear.seqs.includes(500), `round ${round}`);
    // As large as those that filled the bound: there is room for it only if they were let go.
    bus.publish([message(600 + round, data)]);
    await ear.hears(600 + round);
  }
  toldOnce(t, lines, 2);
});

t.test('an idle connection to a frozen Redis is noticed', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, ear } = await pair(t, redis.url);
  freeze(t, redis);
  await until('both gave up', () => bus.state === 'degraded' && other.state === 'degraded');
  const { wakes } = ear;
  process.kill(redis.pid, 'SIGCONT');
  await until('both are up', () => bus.state === 'up' && other.state === 'up');
  t.ok(ear.wakes > wakes);
  await flows(bus, ear);
});

t.test('closing ends soon, frozen Redis or not, and with much unanswered', async (t) => {
  const redis = await startRedis(t);
  const { bus, other } = await pair(t, redis.url);
  const third = new RedisBus({ url: redis.url, logger });
  freeze(t, redis);
  third.join('log-faults', new Ear());
  for (let seq = 1; seq <= 100; seq++) bus.publish([message(seq, Buffer.alloc(512 * 1024))]);
  const begun = performance.now();
  await Promise.all([bus.close(), other.close(), third.close()]);
  const took = performance.now() - begun;
  // Half a second each, at the same time. Whoever waited for Redis would wait for ever.
  t.ok(took < 15_000, `it took ${Math.round(took)} ms`);
});

t.test('closing lets what was just published arrive', async (t) => {
  const redis = await startRedis(t);
  const { bus, ear } = await pair(t, redis.url);
  for (let seq = 1; seq <= 200; seq++) bus.publish([message(seq, Buffer.alloc(10_000))]);
  await bus.close();
  await ear.hears(200);
  t.equal(ear.seqs.length, 200);
});

t.test('a name with several addresses of which none answers is tried like any other', async (t) => {
  const { logger, lines } = recordingLogger();
  const bus = new RedisBus({ url: `redis://localhost:${await freePort()}`, logger });
  t.teardown(() => bus.close());
  bus.join('log-faults', new Ear());
  await until('the log tells', () => lines.length > 0);
  t.match(lines[0], /ECONNREFUSED/);
});
