import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import t from 'tap';
import { EnvelopeKeys } from '../../../src/bus/envelope-keys.ts';
import { carriedOf, encode, SENDER_BYTES } from '../../../src/bus/envelope.ts';
import { FRAME, frameOf, HUB_VERSION, jsonFrame } from '../../../src/bus/hub/frames.ts';
import { startHub } from '../../../src/bus/hub/hub.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Ear, message, secretOf } from '../../contract/bus.ts';
import { Child } from '../../support/child.ts';
import { TestClock } from '../../support/clock.ts';
import { heldBytes } from '../../support/garbage.ts';
import { hubBus, hubStranger, impostorHub, openHub, openHubBus, type OpenHubBus } from '../../support/hub.ts';
import { quietLogger } from '../../support/logger.ts';
import { tempFolder, type Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const MIB = 1024 * 1024;

/** The most that may wait for one that does not read: what the hub keeps, what a socket keeps on the way, and the same on the way to the hub. */
const HELD_MAX_BYTES = 20 * MIB;

/** 64 workers: as many as a supervisor may have. */
const WORKERS = 64;

async function up(...buses: readonly OpenHubBus[]): Promise<void> {
  await until('all are up', () => buses.every(({ bus }) => bus.state === 'up' && bus.receivers === buses.length));
}

function opened(t: Scope, path: string, count: number): readonly OpenHubBus[] {
  return Array.from({ length: count }, () => openHubBus(t, path, 'log'));
}

t.test('the hub goes and comes back: workers try for ever, say so once each, and look at the log', async (t) => {
  const path = join(tempFolder(t), 'hub');
  const first = await openHub(t, { path });
  const [one, two] = opened(t, path, 2) as [OpenHubBus, OpenHubBus];
  await up(one, two);
  await first.close();
  await until('both are degraded', () => one.bus.state === 'degraded' && two.bus.state === 'degraded');
  t.same([one.bus.receivers, existsSync(path)], [undefined, false]);
  one.bus.publish([message(1)]);
  one.bus.tell('to nobody');
  const { wakes } = two.ear;
  await openHub(t, { path });
  await up(one, two);
  await until('it was woken', () => two.ear.wakes > wakes);
  one.bus.publish([message(2)]);
  await two.ear.hears(2);
  t.same([two.ear.seqs, two.ear.notes], [[2], []], 'what was sent meanwhile was dropped');
  t.match(one.lines, [/the hub cannot be used/, /the hub is up again/]);
  t.equal(one.lines.length, 2);
});

t.test('the hub is away at first: joining returns, and the worker finds it once it is there', async (t) => {
  const path = join(tempFolder(t), 'hub');
  const [one, two] = opened(t, path, 2) as [OpenHubBus, OpenHubBus];
  await until('it is logged', () => one.lines.length > 0);
  t.equal(one.bus.state, 'degraded');
  await openHub(t, { path });
  await up(one, two);
});

t.test('a hub that was killed leaves a socket, which hurts nobody; that of one that lives is not taken', async (t) => {
  const path = join(tempFolder(t), 'hub');
  const url = new URL('../../../src/', import.meta.url).href;
  const child = new Child(t, process.execPath, ['--input-type=module', '-e', `
    const [{ startHub }, { systemClock }] = await Promise.all([import('${url}bus/hub/hub.ts'), import('${url}runtime/clock.ts')]);
    await startHub({ path: ${JSON.stringify(path)}, clock: systemClock, logger: { info() {}, warn() {} } });
  `]);
  await until('it listens', () => existsSync(path));
  await t.rejects(startHub({ path, clock: systemClock, logger: quietLogger }), { code: 'EADDRINUSE' });
  t.ok(existsSync(path), 'the one that lives keeps its socket');
  child.kill('SIGKILL');
  await child.exited;
  t.ok(existsSync(path));
  await openHub(t, { path });
  await up(...opened(t, path, 2));
});

t.test('a hub that answers no more is given up; one of another version is not used', async (t) => {
  const folder = tempFolder(t);
  const clock = new TestClock();
  let isSilent = false;
  const silent = await impostorHub(t, join(folder, 'silent'), (name) => isSilent ? undefined : name === 'hello' ? { version: HUB_VERSION } : null);
  const { bus, lines } = openHubBus(t, join(folder, 'silent'), 'log', clock);
  await until('it is up', () => bus.state === 'up');
  isSilent = true;
  await until('it was given up', async () => {
    await clock.advance(1_000);
    return bus.state === 'degraded';
  });
  t.match(lines, [/the hub does not answer/]);
  t.ok(silent.asked.includes('ping'));

  await impostorHub(t, join(folder, 'newer'), () => ({ version: HUB_VERSION + 1 }));
  const other = openHubBus(t, join(folder, 'newer'), 'log');
  await until('it is logged', () => other.lines.length > 0);
  t.match(other.lines, [/another version/]);
  t.equal(other.bus.state, 'degraded');
});

t.test('a worker that does not read costs the hub a bounded memory, and nobody else anything; when it reads again it looks at the log', async (t) => {
  const { path } = await openHub(t);
  const [one, two] = opened(t, path, 2) as [OpenHubBus, OpenHubBus];
  const frozen = hubStranger(t, path);
  await frozen.ask('hello', { version: HUB_VERSION });
  await frozen.ask('bus.join', { log: 'log', instance: 'i' });
  await until('all are there', () => one.bus.receivers === 3 && two.bus.receivers === 3);
  frozen.socket.pause();
  const before = heldBytes('arrayBuffers');
  for (let seq = 1; seq <= 60; seq++) {
    one.bus.publish([message(seq, Buffer.alloc(MIB / 2))]);
    one.bus.tell('note');
    await two.ear.hears(seq);
    two.ear.commits.length = 0;
  }
  const held = heldBytes('arrayBuffers') - before;
  t.ok(held < HELD_MAX_BYTES, `${held} bytes`);
  t.notOk(frozen.kinds.includes(FRAME.missed));
  frozen.socket.resume();
  await until('it hears that it missed some', () => frozen.kinds.includes(FRAME.missed));
  t.ok(frozen.kinds.filter((kind) => kind === FRAME.commit).length < 60);
  const { length } = frozen.kinds;
  one.bus.publish([message(1_000)]);
  await until('it hears again', () => frozen.kinds.length > length);
  t.equal(frozen.kinds.at(-1), FRAME.commit);
});

t.test('a worker that publishes more than the hub reads drops some, and the others look at the log', async (t) => {
  const { path } = await openHub(t);
  const [one, two] = opened(t, path, 2) as [OpenHubBus, OpenHubBus];
  await up(one, two);
  const { wakes, unproved } = two.ear;
  const before = heldBytes('arrayBuffers');
  for (let seq = 1; seq <= 100; seq++) one.bus.publish([message(seq, Buffer.alloc(MIB / 2))]);
  const held = heldBytes('arrayBuffers') - before;
  t.ok(held < HELD_MAX_BYTES, `${held} bytes`);
  await until('it was woken', () => two.ear.wakes > wakes && two.ear.unproved > unproved);
  one.bus.publish([message(1_000)]);
  await two.ear.hears(1_000);
  t.ok(two.ear.seqs.length < 100, `${two.ear.seqs.length} were heard`);
});

t.test('a peer that asks on without reading the answers is cut off', async (t) => {
  const { path } = await openHub(t);
  const asker = hubStranger(t, path);
  await asker.ask('hello', { version: HUB_VERSION });
  await asker.ask('presence.begin', { log: 'log', name: 'name', leaseMs: 3_600_000 });
  for (let from = 0; from < 1_000; from += 200) {
    await asker.ask('presence.write', { name: 'name', changes: Array.from({ length: 200 }, (_, index) => ({
      topic: 'a', member: `member ${from + index}`, topicStreams: 1, isPresent: true, streams: 1, since: 1, meta: JSON.stringify('x'.repeat(1_000)), metaAt: 1,
    })) });
  }
  await asker.ask('presence.activate', { name: 'name', before: '', leaseMs: 3_600_000 });
  t.equal((await asker.ask('presence.page', { name: 'name', topic: 'a', after: '', limit: 1_000 }))?.members.length, 1_000);
  asker.socket.pause();
  for (let question = 0; question < 40; question++) void asker.ask('presence.page', { name: 'name', topic: 'a', after: '', limit: 1_000 });
  asker.socket.write(frameOf(FRAME.missed, Buffer.alloc(0)));
  // What it wrote cannot arrive once it is cut off; it sees the end when it reads again.
  await until('it is cut off', () => {
    asker.socket.resume();
    return asker.isGone();
  });
});

t.test('garbage ends the connection that it came from, and disturbs nobody', async (t) => {
  const { path, lines } = await openHub(t);
  const [one, two] = opened(t, path, 2) as [OpenHubBus, OpenHubBus];
  await up(one, two);
  const question = (name: string, argument: unknown, id: unknown = 1): Buffer => jsonFrame(FRAME.question, { id, name, argument });
  const hello = question('hello', { version: HUB_VERSION });
  const entered = Buffer.concat([hello, question('presence.begin', { log: 'log', name: 'n', leaseMs: 1_000 })]);
  const endless = Buffer.alloc(8);
  endless.writeUInt32BE(3 * MIB);
  const garbage: readonly Buffer[] = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(64), Buffer.alloc(64, 0xff), endless,
    Buffer.concat([hello, frameOf(99, Buffer.from('x'))]), Buffer.concat([hello, frameOf(FRAME.members, Buffer.alloc(4))]),
    Buffer.concat([hello, frameOf(FRAME.question, Buffer.from('{'))]), Buffer.concat([hello, frameOf(FRAME.question, Buffer.from('null'))]), Buffer.concat([hello, frameOf(FRAME.question, Buffer.alloc(0))]),
    Buffer.concat([hello, question('ping', {}, -1)]), Buffer.concat([hello, question('ping', {}, 'x')]),
    // Whoever has not greeted is no worker.
    question('bus.join', { log: 'log', instance: 'i' }), question('nothing', {}),
    Buffer.concat([entered, frameOf(FRAME.noteToOne, Buffer.alloc(0))]), Buffer.concat([entered, frameOf(FRAME.noteToOne, Buffer.of(0, 9, 120))]),
  ];
  for (const [index, bytes] of garbage.entries()) {
    const stranger = hubStranger(t, path);
    stranger.socket.write(bytes);
    await until(`number ${index} is cut off`, stranger.isGone);
  }
  one.bus.publish([message(1)]);
  await two.ear.hears(1);
  t.same([one.bus.receivers, one.lines, two.lines], [2, [], []]);
  t.equal(lines.length, 1, 'it is logged once a minute');
});

t.test('a wrong question fails, and what else uses the connection goes on', async (t) => {
  const { path, lines } = await openHub(t);
  const { bus, ear } = openHubBus(t, path, 'log');
  const stranger = hubStranger(t, path);
  await stranger.ask('hello', { version: HUB_VERSION });
  /** What the types of a worker would not let it ask. */
  const ask = stranger.ask as (name: string, argument: unknown) => Promise<unknown>;
  await t.rejects(ask('presence.write', { name: 'n', changes: [] }), /malformed question .*no log/);
  await ask('bus.join', { log: 'log', instance: 'i' });
  await ask('presence.begin', { log: 'log', name: 'n', leaseMs: 3_600_000 });
  await until('both are there', () => bus.receivers === 2);
  const change = { topic: 'a', member: 'm', topicStreams: 1, isPresent: true, streams: 1, since: 1, metaAt: 1 };
  const wrong: readonly (readonly [name: string, argument: unknown])[] = [
    ...['nothing', 'constructor', '__proto__', 'toString'].map((name) => [name, {}] as const),
    ['ping', null], ['bus.join', { log: 1 }], ['bus.join', { log: 'x'.repeat(10_000), instance: 'i' }], ['bus.join', { log: 'another', instance: 'i' }], ['bus.join', { log: 'log' }],
    ...[{ ...change, topic: 1 }, { ...change, streams: -1 }, { ...change, streams: 1.5 }, { ...change, isPresent: 'yes' }, { ...change, since: null }, { ...change, meta: 'x'.repeat(2_000) }, null, 7]
      .map((bad) => ['presence.write', { name: 'n', changes: [bad] }] as const),
    ['presence.write', { name: 'n', changes: 'all' }], ['presence.page', { name: 'n', topic: 'a', after: '', limit: -1 }],
    ['limits.hold', { holdings: [] }], ['limits.spend', { debits: [{ bucket: 'b', costMs: '1' }] }], ['limits.spend', { debits: Array.from({ length: 3_000 }, () => ({ bucket: 'b', costMs: 1 })) }],
  ];
  for (const [name, argument] of wrong) await t.rejects(ask(name, argument), /malformed question/, `${name} ${JSON.stringify(argument)?.slice(0, 100)}`);
  t.equal(await ask('presence.write', { name: 'n', changes: [change] }), true, 'it is still the one that began');
  stranger.socket.write(frameOf(FRAME.commit, randomBytes(40)));
  await until('its commits are handed on', () => ear.wakes > 1);
  bus.publish([message(1)]);
  await until('it hears others', () => stranger.kinds.includes(FRAME.commit));
  t.equal(bus.receivers, 2);
  t.match(lines, [/a question to the hub was refused/]);
  t.equal(lines.length, 1, 'it is logged once a minute');
});

t.test('a program of the same user that publishes unproved envelopes makes workers look at the log, and no more', async (t) => {
  const { path } = await openHub(t);
  const [one, two] = opened(t, path, 2) as [OpenHubBus, OpenHubBus];
  await up(one, two);
  const stranger = hubStranger(t, path);
  await stranger.ask('hello', { version: HUB_VERSION });
  const { wakes } = one.ear;
  const forged = encode(randomBytes(SENDER_BYTES), carriedOf([message(9)], new EnvelopeKeys(() => secretOf('another'))));
  stranger.socket.write(frameOf(FRAME.commit, forged));
  await stranger.ask('bus.join', { log: 'log', instance: 'i' });
  for (const [kind, body] of [[FRAME.commit, forged], [FRAME.commit, randomBytes(40)], [FRAME.note, randomBytes(80)], [FRAME.commit, Buffer.alloc(0)]] as const) stranger.socket.write(frameOf(kind, body));
  await until('it was woken', () => one.ear.wakes > wakes && one.ear.unproved > 0);
  two.bus.publish([message(10)]);
  await one.ear.hears(10);
  t.same(one.ear.seqs, [10]);
  await until('all were counted', () => Object.values(one.counters.busRefused).reduce((sum, count) => sum + count) === 4);
  t.equal(one.counters.busRefused.forged, 1, 'what came before it joined was handed on to nobody');
});

t.test('64 workers hear each other, each commit once', async (t) => {
  const { path } = await openHub(t);
  const workers = opened(t, path, WORKERS);
  await up(...workers);
  workers.forEach(({ bus }, index) => {
    bus.publish([message(index + 1)]);
    bus.tell(`note ${index}`);
  });
  for (const [index, { ear }] of workers.entries()) {
    await until('it heard all others', () => ear.seqs.length >= WORKERS - 1 && ear.notes.length >= WORKERS - 1);
    t.same([...ear.seqs].sort((a, b) => a - b), Array.from({ length: WORKERS }, (_, number) => number + 1).filter((seq) => seq !== index + 1));
  }
});

t.test('a connection that asks nothing is ended', async (t) => {
  const clock = new TestClock();
  const { path } = await openHub(t, { clock });
  const stranger = hubStranger(t, path);
  const worker = openHubBus(t, path, 'log');
  await until('the worker is up', () => worker.bus.state === 'up');
  await until('it is ended', async () => {
    await clock.advance(1_000);
    return stranger.isGone();
  });
  t.equal(worker.bus.state, 'up');
});

t.test('the socket lies in a folder that nobody else can enter, which is gone with the hub', async (t) => {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  t.teardown(() => {
    if (runtime === undefined) delete process.env['XDG_RUNTIME_DIR'];
    else process.env['XDG_RUNTIME_DIR'] = runtime;
  });
  const folder = tempFolder(t);
  process.env['XDG_RUNTIME_DIR'] = folder;
  const hub = await openHub(t);
  t.equal(dirname(dirname(hub.path)), folder);
  t.equal(statSync(dirname(hub.path)).mode & 0o777, 0o700);
  await up(...opened(t, hub.path, 2));
  await hub.close();
  t.same(readdirSync(folder), []);

  const long = join(folder, 'x'.repeat(100));
  mkdirSync(long);
  for (const runtime of [long, join(folder, 'missing')]) {
    process.env['XDG_RUNTIME_DIR'] = runtime;
    const { path } = await openHub(t);
    t.notOk(path.startsWith(runtime));
    t.equal(statSync(dirname(path)).mode & 0o777, 0o700);
  }
  await t.rejects(startHub({ path: join(long, 'hub'), clock: systemClock, logger: quietLogger }), /the path of the hub's socket is longer than \d+ bytes/);
});

t.test('the next supervisor of a port removes the folder of a killed one, and no folder of a living one or of others', async (t) => {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  t.teardown(() => {
    if (runtime === undefined) delete process.env['XDG_RUNTIME_DIR'];
    else process.env['XDG_RUNTIME_DIR'] = runtime;
  });
  const folder = tempFolder(t);
  process.env['XDG_RUNTIME_DIR'] = folder;
  const start = async (port: number): Promise<string> => {
    const hub = await startHub({ port, clock: systemClock, logger: quietLogger });
    t.teardown(() => hub.close());
    return dirname(hub.path);
  };
  /** Its socket stays where nobody listens any more. */
  const leave = async (port: number): Promise<string> => {
    const hub = await startHub({ port, clock: systemClock, logger: quietLogger });
    renameSync(hub.path, join(folder, 'kept'));
    const left = dirname(hub.path);
    await hub.close();
    mkdirSync(left, { mode: 0o700 });
    renameSync(join(folder, 'kept'), join(left, 'hub'));
    return left;
  };
  const [left, other] = [await leave(8080), await leave(8081)];
  const [empty, fresh, open, full] = ['AAAAAA', 'BBBBBB', 'CCCCCC', 'DDDDDD'].map((end) => join(folder, `tidings-hub-8080-${end}`)) as [string, string, string, string];
  for (const [path, mode] of [[empty, 0o700], [fresh, 0o700], [open, 0o755], [full, 0o700]] as const) mkdirSync(path, { mode });
  writeFileSync(join(full, 'file'), '');
  for (const path of [empty, open, full]) utimesSync(path, 1, 1);
  const first = await start(8080);
  t.same(readdirSync(folder).sort(), [other, fresh, open, full, first].map((path) => basename(path)).sort(), 'the old one and the empty one are gone');
  const second = await start(8080);
  t.ok(existsSync(join(first, 'hub')), 'it lives');
  t.not(first, second);
  t.notOk(existsSync(left));
});

t.test('closing leaves no socket and no timer, wherever the connection is', async (t) => {
  const folder = tempFolder(t);
  const { path } = await openHub(t);
  await impostorHub(t, join(folder, 'silent'), () => undefined);
  const open = (): number => process.getActiveResourcesInfo().filter((name) => /Pipe|Timeout/.test(name)).length;
  for (const [where, at, reach] of [
    ['up', path, (bus) => until('up', () => bus.state === 'up')], ['just begun', path, () => Promise.resolve()],
    ['nobody there', join(folder, 'nobody'), () => new Promise<void>((resolve) => setImmediate(resolve))],
    ['never answered', join(folder, 'silent'), () => new Promise<void>((resolve) => setImmediate(resolve))],
  ] as const satisfies readonly (readonly [string, string, (bus: OpenHubBus['bus']) => Promise<void>])[]) {
    const before = open();
    const { bus } = hubBus(at);
    bus.join('log', new Ear());
    await reach(bus);
    bus.publish([message(1)]);
    await bus.close();
    await until(`nothing is left of it (${where})`, () => open() <= before);
  }
  t.pass('nothing was left');
});
