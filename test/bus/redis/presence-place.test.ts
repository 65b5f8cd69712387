import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { RedisPresencePlace } from '../../../src/bus/redis/presence-place.ts';
import { Filter } from '../../../src/model/topic.ts';
import { Presence } from '../../../src/presence/presence.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { presenceContract, shown, shows } from '../../contract/presence.ts';
import { Link } from '../../support/link.ts';
import { recordingLogger } from '../../support/logger.ts';
import { redisClient } from '../../support/redis-client.ts';
import { startCluster } from '../../support/redis-cluster.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

/** Most of it is waiting. */
t.jobs = 3;

const GRACE_MS = 400;
const TTL_MS = 2_000;
/** Enough that what is done once counts little. */
const TOLD_STREAMS = 2_000;

interface Opened {
  readonly presence: Presence;
  readonly place: RedisPresencePlace;
  readonly lines: readonly string[];
}

async function open(t: Test, url: string, logId = 'log', isUp = true, ttlMs = TTL_MS): Promise<Opened> {
  const { logger, lines } = recordingLogger();
  const place = new RedisPresencePlace({ url, ttlMs, clock: systemClock, logger });
  const presence = new Presence({ place, mayHaveOthers: false, clock: systemClock, now: () => Date.now(), graceMs: GRACE_MS, counters: new Counters(), frameOf: (json) => Buffer.from(json) });
  t.teardown(() => presence.close());
  presence.join(logId);
  if (isUp) await until('it is up', () => presence.isWhole);
  return { presence, place, lines };
}

const topic = (...names: string[]): Filter => new Filter(names);
const alice = { id: 'alice', meta: '{"a":1}' };

const shared = await startRedis(t);
let logs = 0;
presenceContract('in Redis', {
  graceMs: GRACE_MS,
  open: async (t, count) => {
    const logId = `contract${logs++}`;
    // Nothing is to end because the machine is busy.
    return Promise.all(Array.from({ length: count }, async () => (await open(t, shared.url, logId, true, 60_000)).presence));
  },
  // What has to pass passes by itself: whoever waits for what comes after it waits long enough.
  pass: () => Promise.resolve(),
});

t.test('a Redis that was restarted, or forgot everything, is told everything again, and nothing that has gone', async (t) => {
  const redis = await startRedis(t);
  const all = (await Promise.all([open(t, redis.url), open(t, redis.url)])).map(({ presence }) => presence);
  const [one, two] = all as [Presence, Presence];
  for (let index = 0; index < 350; index++) one.enter(topic('many'), { id: `member ${String(index).padStart(3, '0')}`, meta: undefined });
  two.enter(topic('many', 'few'), alice);
  await shows(t, all, 'few', 'alice:1 of 1');
  await until('all are told', async () => (await two.counts(['many'])).answer[0]!.streams === 351);

  await redisClient(t, redis).flushall();
  one.leave(topic('many'), 'member 000');
  await until('both have told it again', async () => (await one.counts(['many'])).answer[0]!.streams === 350 && (await two.counts(['few'])).answer[0]!.members === 1);

  await redis.stop();
  await until('it is away', () => !one.isWhole && !two.isWhole);
  await until('one knows its own', async () => (await one.counts(['many'])).answer[0]!.members === 349);
  t.match(await one.page('many', '', 1), { isPartial: true, answer: { streams: 349, members: [{ id: 'member 001' }] } });
  t.match(await two.page('few', '', 1), { isPartial: true, answer: { members: [{ id: 'alice', streams: 1, meta: '{"a":1}' }] } });
  two.leave(topic('many', 'few'), 'alice');
  two.enter(topic('few'), undefined);
  await redis.start();
  await until('it is back', () => one.isWhole && two.isWhole);
  await until('alice is gone', async () => (await one.counts(['many'])).answer[0]!.members === 349);
  await shows(t, all, 'few', 'of 1');
});

t.test('a Redis that forgot everything: answers say that they are partial, and everybody reports everything before leases are due', async (t) => {
  const redis = await startRedis(t);
  // Renewals would come every ten minutes.
  const all = (await Promise.all([open(t, redis.url, 'log', true, 3_600_000), open(t, redis.url, 'log', true, 3_600_000)])).map(({ presence }) => presence);
  const [one, two] = all as [Presence, Presence];
  one.enter(topic('a'), alice);
  two.enter(topic('a'), { id: 'bob', meta: undefined });
  await shows(t, all, 'a', 'alice:1 bob:1 of 2');
  await redisClient(t, redis).flushall();
  t.match(await one.page('a', '', 5), { isPartial: true, answer: { members: [{ id: 'alice' }] } });
  t.match(await two.topicsOf('bob', '', 5, () => true), { isPartial: true, answer: { topics: [{ topic: 'a' }] } });
  for (const presence of all) await until('both have told it again', async () => (await presence.counts(['a'])).answer[0]!.members === 2);
  await shows(t, all, 'a', 'alice:1 bob:1 of 2');
});

t.test('a broken connection: lost changes do not stay, nothing counts twice, and nobody leaves meanwhile', async (t) => {
  const redis = await startRedis(t);
  const link = await Link.start(t, redis.port);
  const { presence: one } = await open(t, `redis://127.0.0.1:${link.port}`, 'log', true, 60_000);
  const { presence: two } = await open(t, redis.url, 'log', true, 60_000);
  const { presence: other } = await open(t, redis.url, 'another log');
  one.enter(topic('a'), alice);
  one.enter(topic('a'), { id: 'bob', meta: undefined });
  await shows(t, [two], 'a', 'alice:1 bob:1 of 2');
  link.cut();
  await until('it has noticed', () => !one.isWhole);
  one.leave(topic('a'), 'alice');
  t.equal((await shown(two, 'a')).replace('alice:0', 'alice:1'), 'alice:1 bob:1 of 2', 'it is still told what was there');
  link.heal();
  await until('it is back', () => one.isWhole);
  await shows(t, [two], 'a', 'bob:1 of 1');
  t.equal(await shown(other, 'a'), 'of 0', 'another log has others');
});

t.test('the records of an instance are gone when its lease has ended, and any instance sweeps them', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  const { presence: survivor } = await open(t, redis.url);
  const { place } = await open(t, redis.url);
  const killed = await open(t, redis.url, 'log');
  killed.presence.enter(topic('a', 'b'), alice);
  for (let index = 0; index < 250; index++) killed.presence.enter(topic(`t${index}`), { id: `${index}`, meta: undefined });
  killed.presence.enter(topic('a'), undefined);
  survivor.enter(topic('a'), alice);
  await shows(t, [survivor], 'a', 'alice:2 of 3');
  await until('all is written', async () => (await survivor.counts(['t249'])).answer[0]!.streams === 1);
  t.ok(place.isUp);
  // Its connection goes on: only its lease ends, as that of a frozen instance does.
  const [frozen] = await nameOf(admin, 'b');
  await admin.zadd('tidings:{log}:presence:leases', '1', frozen!);
  t.equal(await shown(survivor, 'a'), 'alice:1 of 1', 'at once');
  await until('everything of it is swept away', async () => await admin.exists(`tidings:{log}:presence:wrote:${frozen}`) === 0 && await admin.zscore('tidings:{log}:presence:leases', frozen!) === null);
  // It finds out, and comes back under another name.
  await shows(t, [survivor], 'a', 'alice:2 of 3');
  await until('all is there again', async () => (await survivor.counts(['b', 't249'])).answer.every(({ members }) => members === 1));
  t.not((await nameOf(admin, 'b'))[0], frozen);

  await killed.place.close(0);
  await shows(t, [survivor], 'a', 'alice:1 of 1');
  // Of the survivors one has written something.
  const left = ['changed', 'leases', 'lines:a', 'members:a', 'numbers', 'streams:a', 'topics:alice', 'wrote:'].map((name) => `tidings:{log}:presence:${name}`);
  await until('nothing is left of it', async () => (await admin.keys('*')).map((key) => key.replace(/(?<=:wrote:).*/, '')).sort().join() === left.join());
  for (const key of await admin.keys('*')) t.ok(await admin.pttl(key) > 0, `${key} expires`);
});

/** The instances that have a stream of a topic. */
async function nameOf(admin: ReturnType<typeof redisClient>, name: string): Promise<string[]> {
  return admin.hkeys(`tidings:{log}:presence:streams:${name}`);
}

t.test('a member that comes and goes within one batch is not announced; frequent changes are announced once', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  const { presence } = await open(t, redis.url, 'log', true, 60_000);
  const played = async (): Promise<number> => [...(await admin.info('commandstats')).matchAll(/^cmdstat_(?:hset|hdel):calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0);
  const before = await played();
  for (let index = 0; index < 1_000; index++) {
    presence.enter(topic('a'), undefined);
    if (index > 0) presence.leave(topic('a'), undefined);
    presence.enter(topic(`brief ${index}`), undefined);
    presence.leave(topic(`brief ${index}`), undefined);
  }
  await shows(t, [presence], 'a', 'of 1');
  t.equal(await played() - before, 1);
});

t.test('a member of its own for each stream, on one topic or on many, costs few bytes on the way to Redis, and few of its commands', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  const { place } = await open(t, redis.url, 'log', true, 60_000);
  /** Bytes that Redis got, and what it did for the scripts. */
  const used = async (): Promise<{ readonly bytes: number; readonly commands: number }> => {
    const info = await admin.info('everything');
    const commands = [...info.matchAll(/^cmdstat_(?:hget|hset|zadd|sadd|pexpire):calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0);
    return { bytes: Number(/total_net_input_bytes:(\d+)/.exec(info)![1]), commands };
  };
  for (const [topics, mostCommands] of [[1, 7], [TOLD_STREAMS, 13]] as const) {
    const before = await used();
    for (let at = 0; at < TOLD_STREAMS; at += place.telling.maxEntries) {
      await place.write(Array.from({ length: place.telling.maxEntries }, (_, index) => ({
        topic: `of ${topics}: ${(at + index) % topics}`, member: `member ${topics} ${at + index}`, topicStreams: topics === 1 ? at + index + 1 : 1, isPresent: true, streams: 1, since: Date.now(), meta: undefined, metaAt: 0,
      })));
    }
    const after = await used();
    // Each hundred of them brings the script along, and renewals and probes go on beside them.
    t.ok(after.bytes - before.bytes < 160 * TOLD_STREAMS, `${(after.bytes - before.bytes) / TOLD_STREAMS} bytes each, on ${topics} topics`);
    t.ok(after.commands - before.commands < mostCommands * TOLD_STREAMS, `${(after.commands - before.commands) / TOLD_STREAMS} commands each, on ${topics} topics`);
  }
});

t.test('the end of an instance is told at once; its members may come back elsewhere', async (t) => {
  const redis = await startRedis(t);
  const { presence: one } = await open(t, redis.url, 'log', true, 60_000);
  const { presence: two } = await open(t, redis.url, 'log', true, 60_000);
  one.enter(topic('a'), alice);
  one.enter(topic('a'), undefined);
  await shows(t, [two], 'a', 'alice:1 of 2');
  one.leave(topic('a'), 'alice');
  one.leave(topic('a'), undefined);
  await one.close();
  t.equal(await shown(two, 'a'), 'alice:0 of 0');
  two.enter(topic('a'), alice);
  await shows(t, [two], 'a', 'alice:1 of 1');
});

t.test('a user who may publish, and nothing else: presence stays partial, with one line; who may do what the documents name has all of it', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>password', 'allchannels', '+@pubsub', '+@connection');
  const url = redis.url.replace('//', '//app:password@');
  const { presence, lines } = await open(t, url, 'log', false);
  await until('it is logged', () => lines.length > 0);
  t.match(lines[0], /presence cannot be sent.*NOPERM|NOPERM.*presence cannot be sent/);
  t.notMatch(lines[0], /password/);
  presence.enter(topic('a'), alice);
  t.match(await presence.page('a', '', 1), { isPartial: true, answer: { streams: 1 } });
  const allowed = /needs `(~\S+)` and `([^`]*)`/.exec(readFileSync(join(import.meta.dirname, '../../../docs/limits.md'), 'utf8'))!;
  await admin.call('ACL', 'SETUSER', 'app', allowed[1]!, ...allowed[2]!.split(' '));
  await until('it is up', () => presence.isWhole);
  await shows(t, [presence], 'a', 'alice:1 of 1');
});

t.test('foreign values under its keys: presence stays partial, and the process goes on', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  const { presence } = await open(t, redis.url);
  await admin.set('tidings:{log}:presence:lines:a', 'no hash');
  await admin.zadd('tidings:{log}:presence:members:a', 0, 'x');
  t.match(await presence.page('a', '', 1), { isPartial: true });
  await admin.del('tidings:{log}:presence:lines:a', 'tidings:{log}:presence:members:a');
  await until('it is back', () => presence.isWhole);
  await shows(t, [presence], 'a', 'of 0');
});

t.test('of what somebody else wrote under its keys only what can be read is told, and nothing breaks a frame', async (t) => {
  const redis = await startRedis(t);
  const admin = redisClient(t, redis);
  const { presence } = await open(t, redis.url, 'log', true, 60_000);
  presence.enter(topic('a'), alice);
  await shows(t, [presence], 'a', 'alice:1 of 1');
  const [name] = await nameOf(admin, 'a');
  const lines = (text: string): Promise<number> => admin.hset('tidings:{log}:presence:lines:a', 'alice', text);
  for (const [text, expected] of [
    [`${name}\t1\t5\t0\tx\n`, { streams: 1, since: 5, meta: undefined }], [`${name}\t1\t5\t0\t{}\r\n`, { streams: 1, meta: undefined }], [`${name}\t1\t5\t0\t"${'x'.repeat(1100)}"\n`, { streams: 1, meta: undefined }],
    [`${name}\t1\t5\t0\t7\n`, { streams: 1, meta: '7' }], [`${name}\t1\t5\tnever\t7\n`, { streams: 1, meta: undefined }],
  ] as const) {
    await lines(text);
    t.match((await presence.page('a', '', 5)).answer.members, [expected], JSON.stringify(text));
  }
  for (const text of ['', 'x', `${name}\t\t\t\t\n`, `${name}\t1\t999999999999999\t0\t\n`, `${name}\t-1\t5\t0\t\n`, `${name}\tNaN\tInfinity\t0\t\n`]) {
    await lines(text);
    t.same((await presence.page('a', '', 5)).answer.members, [], JSON.stringify(text));
    t.same((await presence.topicsOf('alice', '', 5, () => true)).answer.topics, [], JSON.stringify(text));
  }
});

t.test('what has changed is told by its number; who comes late, or after Redis has forgotten, looks at everything', async (t) => {
  const redis = await startRedis(t);
  const { presence, place } = await open(t, redis.url, 'log', true, 60_000);
  presence.enter(topic('a', 'b'), alice);
  await shows(t, [presence], 'b', 'alice:1 of 1');
  const first = await place.changes(0);
  t.same([...first.topics!].sort(), ['a', 'b']);
  t.same(await place.changes(first.newest), { newest: first.newest, topics: [] });
  presence.enter(topic('b'), undefined);
  await shows(t, [presence], 'b', 'alice:1 of 2');
  t.match(await place.changes(first.newest), { topics: ['b'] });
  t.same((await place.changes(first.newest + 100)).topics, undefined);
  for (let index = 0; index < 10_000; index++) presence.enter(topic(`t${index}`), undefined);
  await until('all are told', async () => (await presence.counts(['t9999'])).answer[0]!.streams === 1);
  t.equal((await place.changes(first.newest)).topics, undefined);
});

t.test('Cluster: presence is at the node that has the keys', async (t) => {
  const cluster = await startCluster(t, { nodeTimeout: 5_000 });
  const all = (await Promise.all([open(t, cluster.url, 'log-cluster', true, 60_000), open(t, cluster.url, 'log-cluster', true, 60_000)])).map(({ presence }) => presence);
  all[0]!.enter(topic('a', 'b.>'), alice);
  all[1]!.enter(topic('a'), alice);
  await shows(t, all, 'a', 'alice:2 of 2');
  await shows(t, all, 'b.>', 'alice:1 of 1');
});
