import { createServer } from 'node:net';
import t from 'tap';
import { Ear, message } from '../../contract/bus.ts';
import { bothAre, busPair, flows, loggedOnce, openBus, redisBus } from '../../support/bus.ts';
import { heldBytes } from '../../support/garbage.ts';
import { listening } from '../../support/listening.ts';
import { recordingLogger } from '../../support/logger.ts';
import { freePort } from '../../support/ports.ts';
import { cutSubscribers, redisClient } from '../../support/redis-client.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const MIB = 1024 * 1024;

/** The bound that the bus promises, under the same name there. */
const UNANSWERED_MAX_BYTES = 8 * MIB;

const LOG_ID = 'log-faults';

const { logger } = recordingLogger();

function freeze(t: Scope, redis: RedisServer): void {
  process.kill(redis.pid, 'SIGSTOP');
  t.teardown(() => redis.stop());
}

/** Most of it is waiting for what is given up. What looks at the memory of this process is alone in it. */
t.jobs = 2;

t.test('Redis goes and comes back: it tries for ever, says so once each, and looks at the log', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, otherEar: ear, lines } = await busPair(t, redis.url, LOG_ID);
  await redis.stop();
  await bothAre({ bus, other }, 'degraded');
  bus.publish([message(1)]);
  // Somebody who hangs up at once stands in for it, to count how often it is tried.
  let attempts = 0;
  const impostor = createServer((socket) => {
    attempts += 1;
    socket.on('error', () => undefined).destroy();
  });
  await listening(impostor, redis.port);
  await until('it was tried often', () => attempts >= 10);
  t.equal(bus.state, 'degraded');
  await new Promise((resolve) => impostor.close(resolve));
  const { wakes } = ear;
  await redis.start();
  await bothAre({ bus, other }, 'up');
  t.ok(ear.wakes > wakes);
  await flows(bus, ear);
  t.notOk(ear.seqs.includes(1), 'what was published meanwhile was dropped');
  loggedOnce(t, lines, 1);
});

t.test('Redis away at first: joining returns, and the bus finds Redis once it is there', async (t) => {
  const redis = await startRedis(t);
  await redis.stop();
  const { bus, ear, lines } = openBus(t, redis.url, LOG_ID);
  t.equal(bus.state, 'degraded');
  bus.publish([message(1)]);
  await until('it is logged', () => lines.length > 0);
  await redis.start();
  await until('it is up', () => bus.state === 'up');
  t.equal(ear.wakes, 1);
  t.match(lines, [/is degraded/, /is up/]);
});

t.test('a killed subscriber listens again and looks at the log', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, otherEar: ear } = await busPair(t, redis.url, LOG_ID);
  const admin = redisClient(t, redis);
  for (const round of [1, 2, 3]) {
    const { wakes } = ear;
    await cutSubscribers(admin, 2);
    await until('it was woken', () => ear.wakes > wakes && bus.state === 'up' && other.state === 'up');
    bus.publish([message(round)]);
    await ear.hears(round);
  }
  t.same(ear.seqs, [1, 2, 3]);
});

t.test('a killed publisher publishes again', async (t) => {
  const redis = await startRedis(t);
  const { bus, otherEar: ear } = await busPair(t, redis.url, LOG_ID);
  const admin = redisClient(t, redis);
  t.equal(await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'), 2);
  await flows(bus, ear);
  t.pass('it does');
});

t.test('paused for writes, Redis holds nothing up; what fits the bound arrives in order when it goes on', async (t) => {
  const redis = await startRedis(t);
  const { bus, otherEar: ear } = await busPair(t, redis.url, LOG_ID);
  const admin = redisClient(t, redis);
  await admin.call('CLIENT', 'PAUSE', '600000', 'WRITE');
  for (let seq = 1; seq <= 100; seq++) bus.publish([message(seq)]);
  await admin.call('CLIENT', 'UNPAUSE');
  await ear.hears(100);
  t.same(ear.seqs, Array.from({ length: 100 }, (_, index) => index + 1));
});

t.test('paused for everything and for long, its connections are given up and made again', async (t) => {
  const redis = await startRedis(t);
  const { bus, otherEar: ear, lines } = await busPair(t, redis.url, LOG_ID);
  const admin = redisClient(t, redis);
  await admin.call('CLIENT', 'PAUSE', '8000', 'ALL');
  bus.publish([message(1)]);
  await until('it is degraded', () => bus.state === 'degraded');
  await until('it is up again', () => bus.state === 'up');
  await flows(bus, ear);
  loggedOnce(t, lines, 1);
});

t.test('a frozen Redis: unanswered publishes stay under their bound, and the rest is dropped', { buffered: false }, async (t) => {
  const redis = await startRedis(t);
  const { bus, otherEar: ear } = await busPair(t, redis.url, LOG_ID);
  const data = Buffer.alloc(64 * 1024);
  freeze(t, redis);
  const before = heldBytes('arrayBuffers');
  const rounds = 4_000;
  const begun = performance.now();
  for (let seq = 1; seq <= rounds; seq++) {
    bus.publish([message(seq, data)]);
    // Lets sockets and answers have their turn, as between requests.
    if (seq % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const took = performance.now() - begun;
  // ioredis holds a second copy of a command until the socket took it. What nobody holds is given back some time after the collection.
  await until(`of ${rounds * data.length / MIB} MiB, three times the bound are held at most`, () => heldBytes('arrayBuffers') - before < 3 * UNANSWERED_MAX_BYTES);
  process.kill(redis.pid, 'SIGCONT');
  await flows(bus, ear);
  const arrived = ear.messages.filter(({ seq }) => seq <= rounds);
  t.ok(arrived.length <= UNANSWERED_MAX_BYTES / data.length, `of ${rounds} messages of 64 KiB, ${arrived.length} were sent`);
  t.ok(arrived.length > 0);
  t.same(arrived.map(({ seq }) => seq), arrived.map((_, index) => index + 1), 'the first ones, in order');
  t.comment(`publishing took ${Math.round(took)} ms; ${arrived.length} arrived`);
});

t.test('many small messages are bounded too', async (t) => {
  const redis = await startRedis(t);
  const { bus, otherEar: ear } = await busPair(t, redis.url, LOG_ID);
  freeze(t, redis);
  const rounds = 50_000;
  for (let seq = 1; seq <= rounds; seq++) bus.publish([message(seq, 'x')]);
  process.kill(redis.pid, 'SIGCONT');
  await flows(bus, ear);
  const arrived = ear.seqs.filter((seq) => seq <= rounds).length;
  t.ok(arrived > 1_000 && arrived <= UNANSWERED_MAX_BYTES / 1024, `${arrived} arrived`);
});

t.test('a Redis that stays frozen is given up, its memory is released, and it is found again', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, otherEar: ear, lines } = await busPair(t, redis.url, LOG_ID);
  const data = Buffer.alloc(512 * 1024);
  for (const round of [1, 2]) {
    freeze(t, redis);
    for (let seq = 1; seq <= 100; seq++) bus.publish([message(seq, data)]);
    await bothAre({ bus, other }, 'degraded');
    bus.publish([message(500)]);
    process.kill(redis.pid, 'SIGCONT');
    await bothAre({ bus, other }, 'up');
    await flows(bus, ear);
    t.notOk(ear.seqs.includes(500), `round ${round}`);
    // As large as those that filled the bound: there is room for it only if they were let go.
    bus.publish([message(600 + round, data)]);
    await ear.hears(600 + round);
  }
  loggedOnce(t, lines, 2);
});

t.test('an idle connection to a frozen Redis is noticed', async (t) => {
  const redis = await startRedis(t);
  const { bus, other, otherEar: ear } = await busPair(t, redis.url, LOG_ID);
  freeze(t, redis);
  await bothAre({ bus, other }, 'degraded');
  const { wakes } = ear;
  process.kill(redis.pid, 'SIGCONT');
  await bothAre({ bus, other }, 'up');
  t.ok(ear.wakes > wakes);
  await flows(bus, ear);
});

t.test('closing ends soon, frozen Redis or not, and with much unanswered', async (t) => {
  const redis = await startRedis(t);
  const { bus, other } = await busPair(t, redis.url, LOG_ID);
  const third = redisBus({ url: redis.url, logger });
  freeze(t, redis);
  third.join(LOG_ID, new Ear());
  for (let seq = 1; seq <= 100; seq++) bus.publish([message(seq, Buffer.alloc(512 * 1024))]);
  const begun = performance.now();
  await Promise.all([bus.close(), other.close(), third.close()]);
  const took = performance.now() - begun;
  // Half a second each, at the same time. Whoever waited for Redis would wait for ever.
  t.ok(took < 15_000, `it took ${Math.round(took)} ms`);
});

t.test('closing lets the last publish arrive', async (t) => {
  const redis = await startRedis(t);
  const { bus, otherEar: ear } = await busPair(t, redis.url, LOG_ID);
  for (let seq = 1; seq <= 200; seq++) bus.publish([message(seq, Buffer.alloc(10_000))]);
  await bus.close();
  await ear.hears(200);
  t.equal(ear.seqs.length, 200);
});

t.test('a name with several addresses of which none answers is tried like any other', async (t) => {
  const { lines } = openBus(t, `redis://localhost:${await freePort()}`, LOG_ID);
  await until('it is logged', () => lines.length > 0);
  t.match(lines[0], /ECONNREFUSED/);
});
