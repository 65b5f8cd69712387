import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import t from 'tap';
import { EnvelopeKeys } from '../../../src/bus/envelope-keys.ts';
import { carriedOf, encode, SENDER_BYTES } from '../../../src/bus/envelope.ts';
import { encodeNote } from '../../../src/bus/note-envelope.ts';
import type { RedisBus } from '../../../src/bus/redis/redis.ts';
import { busContract, content, Ear, EPOCH, joined, message, secretOf } from '../../contract/bus.ts';
import { leftBeside, openBus, openResources, redisBus } from '../../support/bus.ts';
import { TestClock } from '../../support/clock.ts';
import { listening } from '../../support/listening.ts';
import { recordingLogger } from '../../support/logger.ts';
import { freePort } from '../../support/ports.ts';
import { redisClient } from '../../support/redis-client.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';


const { logger } = recordingLogger();

busContract(async (t) => {
  const { url } = await startRedis(t);
  return { name: 'redis', make: () => redisBus({ url, logger }) };
});

t.test('the number of a database in the URL keeps no log together or apart: its id does', async (t) => {
  const { url } = await startRedis(t);
  const one = await joined(t, redisBus({ url: `${url}/1`, logger }), 'log-a');
  const same = await joined(t, redisBus({ url: `${url}/7`, logger }), 'log-a');
  const other = await joined(t, redisBus({ url: `${url}/1`, logger }), 'log-b');
  const otherSame = await joined(t, redisBus({ url, logger }), 'log-b');
  one.bus.publish([message(1)]);
  await same.ear.hears(1);
  otherSame.bus.publish([message(2)]);
  await other.ear.hears(2);
  t.same([one.ear.seqs, same.ear.seqs, other.ear.seqs, otherSame.ear.seqs], [[], [1], [2], []]);
});

t.test('it works with a password, with a user, and over TLS', async (t) => {
  const secret = await startRedis(t, { password: 'p@ss/w:rd %' });
  const admin = redisClient(t, secret);
  await admin.call('ACL', 'SETUSER', 'tidings@app', 'on', '>us€r?pw', 'allchannels', '+@pubsub', '+@connection');
  const secure = await startRedis(t, { tls: true, password: 'over-tls' });
  secure.trust();
  const urls = {
    password: secret.url,
    user: secret.url.replace(/\/\/.*@/, `//${encodeURIComponent('tidings@app')}:${encodeURIComponent('us€r?pw')}@`),
    TLS: secure.url,
    // The scheme of a URL is the same in any case; in capitals it must not fall back to plain text.
    'TLS in capitals': secure.url.replace('rediss:', 'REDISS:'),
  };
  for (const [what, url] of Object.entries(urls)) {
    const { bus } = await joined(t, redisBus({ url, logger }), 'log-access');
    const { ear } = await joined(t, redisBus({ url, logger }), 'log-access');
    bus.publish([message(1, what)]);
    await ear.hears(1);
    t.same(content(ear.messages), content([message(1, what)]), what);
  }
});

t.test('a certificate that nobody vouches for is not accepted', async (t) => {
  const secure = await startRedis(t, { tls: true });
  const { bus, lines } = openBus(t, secure.url, 'log-tls');
  await until('it is logged', () => lines.length > 0);
  t.match(lines[0], /self.signed certificate/);
  t.equal(bus.state, 'degraded');
});

t.test('it can be closed at any point of a TLS handshake', async (t) => {
  const secure = await startRedis(t, { tls: true });
  for (let turns = 0; turns < 40; turns++) {
    const bus = redisBus({ url: secure.url, logger });
    bus.join('log-tls', new Ear());
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await bus.close();
  }
  t.pass('nothing was thrown');
});

t.test('no secret of the URL reaches the logger, an error, or the console', async (t) => {
  const server = await startRedis(t, { password: 'right-secret' });
  const shown: unknown[] = [];
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    const original = console[level];
    console[level] = (...args: unknown[]) => void shown.push(args);
    t.teardown(() => {
      console[level] = original;
    });
  }
  const { logger, lines } = recordingLogger();
  const admin = redisClient(t, server);
  await admin.call('ACL', 'SETUSER', 'mute', 'on', '>right-secret', 'resetchannels', '+@all');
  const at = `127.0.0.1:${server.port}`;
  const open = await startRedis(t);
  const urls = [
    server.url, `redis://:wrong-secret@${at}`, `redis://someone:wrong-secret@${at}`, `redis://mute:right-secret@${at}`,
    // A password that nobody asked for, nobody there, nobody of that name, and TLS where there is none.
    `redis://:wrong-secret@127.0.0.1:${open.port}`, `redis://:wrong-secret@127.0.0.1:${await freePort()}`, 'redis://:wrong-secret@no-such-host.invalid', `rediss://:right-secret@${at}`,
  ];
  for (const url of urls) {
    const before = lines.length;
    const bus = redisBus({ url, logger });
    t.teardown(() => bus.close());
    bus.join('log-secret', new Ear());
    await until('it is logged', () => lines.length > before);
    bus.publish([message(1)]);
    await bus.close();
  }
  t.equal(lines.length, urls.length, 'one line each');
  for (const url of ['http://:wrong-secret@host', 'redis://:wrong-secret@[', 'redis://:wrong-secret%zz@host', ':wrong-secret@']) {
    try {
      t.fail(`${redisBus({ url, logger }).state}: it should not have been accepted`);
    } catch (error) {
      shown.push(error);
    }
  }
  t.notMatch(inspect([lines, shown], { depth: 20, maxStringLength: null }), /(right|wrong)-secret/);
});

t.test('without the right to subscribe or to publish it is degraded, says so once, and recovers when it gets it', async (t) => {
  const server = await startRedis(t);
  const admin = redisClient(t, server);
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>pw', 'allchannels', '+@all', '-publish');
  const { logger, lines } = recordingLogger();
  const bus = redisBus({ url: `redis://app:pw@127.0.0.1:${server.port}`, logger });
  const { ear } = await joined(t, bus, 'log-right');
  bus.publish([message(1)]);
  await until('publishing is refused', () => bus.state === 'degraded');
  await admin.call('ACL', 'SETUSER', 'app', '+publish');
  bus.publish([message(2)]);
  await until('publishing works', () => bus.state === 'up');
  // Taking a channel away cuts its subscribers off.
  await admin.call('ACL', 'SETUSER', 'app', 'resetchannels');
  await until('listening is refused', () => bus.state === 'degraded');
  await until('it was tried more than once', async () => ((await admin.call('ACL', 'LOG')) as unknown[]).length > 0 && /reason=channel/.test(String(await admin.call('ACL', 'LOG')).replaceAll(',', '=')));
  const { wakes } = ear;
  await admin.call('ACL', 'SETUSER', 'app', 'allchannels');
  await until('listening works', () => bus.state === 'up' && ear.wakes > wakes);
  t.same(lines.map((line) => /is (up|degraded)/.exec(line)?.[1]), ['up', 'degraded', 'up', 'degraded', 'up']);
});

t.test('foreign bytes on the channel are counted, and do no harm', async (t) => {
  const { url } = await startRedis(t);
  const { bus } = await joined(t, redisBus({ url, logger }), 'log-noise');
  const { ear, lines, counters } = openBus(t, url, 'log-noise');
  await until('it listens', () => ear.wakes > 0);
  const { wakes } = ear;
  const noise = redisClient(t, { url });
  const whole = encode(randomBytes(SENDER_BYTES), carriedOf([message(9, 'cut')], new EnvelopeKeys(secretOf)));
  const head = encode(randomBytes(SENDER_BYTES), undefined);
  const channel = 'tidings:log-noise';
  for (let length = 1; length < whole.length; length++) await noise.publish(channel, whole.subarray(0, length));
  for (let length = 1; length <= 100; length++) await noise.publish(channel, Buffer.concat([head, randomBytes(length)]));
  await noise.publish(channel, '');
  await noise.publish(channel, 'hello');
  await noise.publish(channel, encode(randomBytes(SENDER_BYTES), carriedOf([message(9)], new EnvelopeKeys(() => secretOf('another')))));
  bus.publish([message(10)]);
  await ear.hears(10);
  t.same(ear.seqs, [10]);
  await until('it was a reason to look at the log', () => ear.wakes > wakes);
  const { forged, malformed, ...others } = counters.busRefused;
  t.same(others, { 'other-version': 1, 'other-epoch': 0, late: 0, repeated: 0 });
  t.ok(forged > 0 && malformed > 100);
  t.equal(forged + malformed, whole.length - 1 + 100 + 1 + 1);
  const warnings = lines.filter((line) => line.includes('"level":"warn"'));
  t.equal(warnings.length, 3, 'it warns once of each kind');
});

t.test('an invalid note makes the instance look at the log and the tables: it may be late, or of another version', async (t) => {
  const { url } = await startRedis(t);
  const { bus } = await joined(t, redisBus({ url, logger }), 'log-odd');
  const { ear, counters } = openBus(t, url, 'log-odd');
  await until('it listens', () => ear.wakes > 0);
  const noise = redisClient(t, { url });
  const keys = new EnvelopeKeys(secretOf);
  const note = (sender: Buffer, now: number): Buffer => encodeNote('{"kind":"look"}', sender, keys, { epoch: EPOCH, now })!;
  const newer = note(randomBytes(SENDER_BYTES), Date.now());
  newer[0]!++;
  const good = note(randomBytes(SENDER_BYTES), Date.now());
  for (const payload of [newer, note(randomBytes(SENDER_BYTES), Date.now() - 60_000), good, good]) await noise.publish('tidings:log-odd:notes', payload);
  bus.tell('last');
  await until('the last one came', () => ear.notes.includes('last'));
  t.same([ear.unproved, ear.notes], [3, ['{"kind":"look"}', 'last']]);
  t.match(counters.busRefused, { 'other-version': 1, late: 1, repeated: 1 });
});

t.test('warnings of one kind come once a minute, however much of it there is', async (t) => {
  const { url } = await startRedis(t);
  const { logger, lines } = recordingLogger();
  const clock = new TestClock();
  const { ear } = await joined(t, redisBus({ url, logger, clock }), 'log-warn');
  const noise = redisClient(t, { url });
  const { bus } = await joined(t, redisBus({ url, logger }), 'log-warn');
  const warnings = (): number => lines.filter((line) => line.includes('"level":"warn"')).length;
  for (const [at, seq] of [[0, 1], [59_000, 2], [60_000, 3]] as const) {
    await clock.advance(at - clock.monotonic());
    for (let count = 0; count < 10; count++) await noise.publish('tidings:log-warn', 'hello');
    bus.publish([message(seq)]);
    await ear.hears(seq);
    t.comment(`${at} ms: ${warnings()}`);
  }
  t.equal(warnings(), 3, 'two by one bus, and one by the other');
});

t.test('however many envelopes ask for a look at the log, there is one at once, and then one in 20 ms', async (t) => {
  const { url } = await startRedis(t);
  const clock = new TestClock();
  const { ear } = await joined(t, redisBus({ url, logger, clock }), 'log-flood');
  const { bus } = await joined(t, redisBus({ url, logger }), 'log-flood');
  const noise = redisClient(t, { url });
  const flood = async (seq: number): Promise<number> => {
    const { wakes } = ear;
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => noise.publish('tidings:log-flood', index % 2 === 0 ? 'hello' : encode(randomBytes(SENDER_BYTES), undefined))));
    bus.publish([message(seq)]);
    await ear.hears(seq);
    return ear.wakes - wakes;
  };
  t.equal(await flood(1), 1);
  await clock.advance(20);
  t.equal(await flood(2), 0, 'the one that was due came when the time was over');
  const { wakes } = ear;
  await clock.advance(20);
  t.equal(ear.wakes, wakes + 1);
  await clock.advance(1_000);
  t.equal(ear.wakes, wakes + 1, 'no more than were asked for');
});

t.test('a listener that Redis cuts off as too slow comes back and looks at the log', async (t) => {
  const { url } = await startRedis(t, { settings: ['--client-output-buffer-limit', 'pubsub', '16kb', '16kb', '1'] });
  const { bus } = await joined(t, redisBus({ url, logger }), 'log-slow');
  const { ear } = await joined(t, redisBus({ url, logger }), 'log-slow');
  const { wakes } = ear;
  bus.publish([message(1, Buffer.alloc(512 * 1024))]);
  await until('it was woken', () => ear.wakes > wakes);
  bus.publish([message(2)]);
  await ear.hears(2);
  t.same(ear.seqs, [2]);
});

t.test('closing leaves no socket and no timer, wherever the connections are', async (t) => {
  const { url } = await startRedis(t);
  const silent = createServer(() => undefined);
  const silentPort = await listening(silent);
  t.teardown(() => silent.close());
  const places: [string, string, (bus: RedisBus, ear: Ear) => Promise<void>][] = [
    ['up', url, (bus) => until('up', () => bus.state === 'up')],
    ['just begun', url, async () => undefined],
    ['nobody there', `redis://127.0.0.1:${await freePort()}`, () => new Promise((resolve) => setTimeout(resolve, 30))],
    ['never answered', `redis://127.0.0.1:${silentPort}`, () => new Promise((resolve) => silent.once('connection', () => resolve()))],
  ];
  for (const [where, at, reach] of places) {
    const before = openResources();
    const bus = redisBus({ url: at, logger });
    const ear = new Ear();
    bus.join('log-handles', ear);
    await reach(bus, ear);
    bus.publish([message(1)]);
    await bus.close();
    t.equal(await leftBeside(before), '', where);
  }
});
