import { connect } from '@nats-io/transport-node';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import t from 'tap';
import { encode, SENDER_BYTES } from '../../../src/bus/envelope.ts';
import { readNatsUrl } from '../../../src/config/nats-url.ts';
import { busContract, content, Ear, joined, message } from '../../contract/bus.ts';
import { busOf, busPair, flows, openBus } from '../../support/bus.ts';
import { recordingLogger } from '../../support/logger.ts';
import { startNats } from '../../support/nats.ts';
import { freePort } from '../../support/ports.ts';
import { until } from '../../support/until.ts';

const { logger } = recordingLogger();

busContract(async (t) => {
  const { url } = await startNats(t);
  return { name: 'nats', make: () => busOf({ url, logger }) };
});

t.test('it works with a password, with a token, and over TLS', async (t) => {
  const password = await startNats(t, { settings: 'authorization { user: "tid€ings", password: "p@ss/w:rd %" }', access: `${encodeURIComponent('tid€ings')}:${encodeURIComponent('p@ss/w:rd %')}` });
  const token = await startNats(t, { settings: 'authorization { token: "to/ken" }', access: 'to%2Fken' });
  const secure = await startNats(t, { tls: true });
  secure.trust();
  for (const [what, { url }] of Object.entries({ password, token, TLS: secure, 'several servers': { url: `${token.url},127.0.0.1:${await freePort()}` } })) {
    const { bus } = await joined(t, busOf({ url, logger }), 'log-access');
    const { ear } = await joined(t, busOf({ url, logger }), 'log-access');
    bus.publish([message(1, what)]);
    await ear.hears(1);
    t.same(content(ear.messages), content([message(1, what)]), what);
  }
});

t.test('no plain connection is made where TLS is asked for, and none to a certificate that nobody vouches for', async (t) => {
  const secure = await startNats(t, { tls: true });
  const plain = await startNats(t);
  for (const [url, why] of [[secure.url, /self.signed certificate/], [plain.url.replace('nats:', 'tls:'), /tls|TLS/]] as const) {
    const { bus, lines } = openBus(t, url, 'log-tls');
    await until('it is logged', () => lines.length > 0);
    t.match(lines[0], why);
    t.equal(bus.state, 'degraded');
  }
});

t.test('who listens under a name is said, and who does not', async (t) => {
  const { url } = await startNats(t);
  const { bus, otherEar } = await busPair(t, url, 'log-reached');
  const reached: (readonly [string, number])[] = [];
  bus.tell('for the other', otherEar.instance, (count) => void reached.push(['other', count]));
  bus.tell('for nobody', 'nobody', (count) => void reached.push(['nobody', count]));
  await until('both are known', () => reached.length === 2);
  t.same(new Map(reached), new Map([['other', 1], ['nobody', 0]]));
  t.same(otherEar.notes, ['for the other']);
});

t.test('what strangers send wakes at most, and is counted', async (t) => {
  const { url, port } = await startNats(t);
  const { ear, otherEar, counters, lines } = await busPair(t, url, 'log-lies');
  const stranger = await connect({ servers: `127.0.0.1:${port}` });
  t.teardown(() => stranger.close());
  const { wakes } = ear;
  for (const lie of [Buffer.alloc(0), Buffer.from('x'), randomBytes(500), encode(randomBytes(SENDER_BYTES), undefined).subarray(0, 20), Buffer.alloc(1_000_000)]) stranger.publish('tidings.log-lies.commits', lie);
  for (const subject of ['tidings.log-lies.notes', `tidings.log-lies.notes.to.${ear.instance}`]) stranger.publish(subject, randomBytes(300));
  await stranger.flush();
  await until('it was woken, and told to look', () => ear.wakes > wakes && ear.unproved > 0);
  t.same([ear.commits.length, otherEar.commits.length, ear.notes.length], [0, 0, 0]);
  t.ok(Object.values(counters.busRefused).reduce((sum, count) => sum + count) >= 3);
  t.match(lines.join('\n'), /on this NATS|from NATS/);
});

t.test('a stranger who names a subject for the answer gets none, and does not make an instance degraded', async (t) => {
  const { port } = await startNats(t, { settings: 'authorization { users: [{ user: us, password: right-secret, permissions: { publish: ["tidings.>", "_INBOX.>"], subscribe: ["tidings.>", "_INBOX.>"] } }, { user: stranger, password: right-secret }] }' });
  const { bus, other, ear, otherEar, lines } = await busPair(t, `nats://us:right-secret@127.0.0.1:${port}`, 'log-reply');
  const stranger = await connect({ servers: `127.0.0.1:${port}`, user: 'stranger', pass: 'right-secret' });
  t.teardown(() => stranger.close());
  const answers: string[] = [];
  stranger.subscribe('>', { callback: (_, { subject, data }) => void (data.length === 0 && answers.push(subject)) });
  await stranger.flush();
  for (const subject of ['commits', 'notes', `notes.to.${ear.instance}`]) for (const reply of ['not.allowed', 'tidings.log-reply.commits', '_INBOX.x.y']) stranger.publish(`tidings.log-reply.${subject}`, 'lie', { reply });
  await stranger.flush();
  // The notes of an instance that is degraded are not sent.
  await until('all of that was heard', () => ear.unproved >= 6);
  await flows(bus, otherEar);
  await flows(other, ear);
  await stranger.flush();
  t.same([answers, bus.state, other.state], [[], 'up', 'up']);
  t.notMatch(lines.join('\n'), /degraded/);
});

t.test('what the server does not take is a hint to look', async (t) => {
  const { url } = await startNats(t, { settings: 'max_payload: 20000' });
  const { bus, otherEar } = await busPair(t, url, 'log-payload');
  const { wakes } = otherEar;
  bus.publish([message(1, Buffer.alloc(30_000))]);
  bus.publish([message(2)]);
  await otherEar.hears(2);
  await until('it was woken', () => otherEar.wakes > wakes);
  t.same(otherEar.seqs, [2]);
});

t.test('a server that does not let it publish, or listen, makes it degraded', async (t) => {
  const permissions = (rule: string): string => `authorization { users: [{ user: a, password: right-secret, permissions: { ${rule} } }] }`;
  for (const rule of ['publish: { deny: "tidings.>" }', 'subscribe: { deny: "tidings.>" }']) {
    const { url } = await startNats(t, { settings: permissions(rule), access: 'a:right-secret' });
    const { bus, lines } = openBus(t, url, 'log-denied');
    await until('it says so', () => {
      bus.publish([message(1)]);
      return lines.some((line) => line.includes('is degraded'));
    });
    t.match(lines.at(-1), /[Pp]ermission/, rule);
    if (rule.startsWith('subscribe')) t.equal(lines.length, 1, 'it was never up');
  }
});

t.test('a server that takes commits and refuses notes is called degraded once, and not up and degraded in turns', async (t) => {
  const { url } = await startNats(t, { settings: 'authorization { users: [{ user: a, password: right-secret, permissions: { publish: ["tidings.*.commits"], subscribe: [">"] } }] }', access: 'a:right-secret' });
  const { bus, lines } = openBus(t, url, 'log-half');
  await until('it is up', () => bus.state === 'up');
  const { bus: other, ear } = openBus(t, url, 'log-half');
  await until('the other is up', () => other.state === 'up');
  for (let round = 0; round < 5; round++) {
    await until('it is refused', () => {
      bus.tell('note');
      return bus.state === 'degraded';
    });
    await flows(bus, ear);
  }
  t.match(lines, [/is up/, /is degraded/]);
  t.equal(lines.length, 2, lines.join('\n'));
});

t.test('no secret of the URL reaches the logger, an error, or the console', async (t) => {
  const server = await startNats(t, { settings: 'authorization { user: a, password: right-secret }' });
  const shown: unknown[] = [];
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    const original = console[level];
    console[level] = (...args: unknown[]) => void shown.push(args);
    t.teardown(() => {
      console[level] = original;
    });
  }
  const { logger, lines } = recordingLogger();
  for (const access of ['a:wrong-secret@', 'wrong-secret@', '']) for (const port of [server.port, await freePort()]) {
    const before = lines.length;
    const bus = busOf({ url: `nats://${access}127.0.0.1:${port}`, logger });
    t.teardown(() => bus.close());
    bus.join('log-secret', new Ear());
    await until('it is logged', () => lines.length > before);
    await bus.close();
  }
  for (const url of ['http://a:wrong-secret@host', 'nats://a:wrong-secret@', 'nats://a:wrong-secret%zz@host', 'nats://a:wrong-secret@host/path', 'nats://wrong-secret@host:99999', 'nats://wrong-secret@h,', 'nats://wrong-secret@a b']) {
    t.throws(() => readNatsUrl(url), { name: 'WrongValue' }, url);
    try {
      readNatsUrl(url);
    } catch (error) {
      shown.push(error);
    }
  }
  t.notMatch(inspect([lines, shown], { depth: 20, maxStringLength: null }), /(right|wrong)-secret/);
});

t.test('URLs', (t) => {
  t.same(readNatsUrl('nats://localhost'), { servers: ['localhost:4222'], isTls: false });
  t.same(readNatsUrl('TLS://u:p%3Aq@a:1,[::1],[::1]:5,b.example/'), { servers: ['a:1', '[::1]:4222', '[::1]:5', 'b.example:4222'], isTls: true, user: 'u', password: 'p:q' });
  t.same(readNatsUrl('nats://to%40ken@h'), { servers: ['h:4222'], isTls: false, token: 'to@ken' });
  t.end();
});
