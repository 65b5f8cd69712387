import { join } from 'node:path';
import { t, type Test } from 'tap';
import { HubPresencePlace } from '../../../src/bus/hub/presence-place.ts';
import { Filter } from '../../../src/model/topic.ts';
import { MEMBER_MAX_BYTES } from '../../../src/presence/member.ts';
import { Presence } from '../../../src/presence/presence.ts';
import { systemClock, type Clock } from '../../../src/runtime/clock.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { presenceContract, shown, shows } from '../../contract/presence.ts';
import { TestClock } from '../../support/clock.ts';
import { hubWorker, openHub } from '../../support/hub.ts';
import { tempFolder } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const GRACE_MS = 400;
/** Nothing is to end because the machine is busy. */
const LONG_TTL_MS = 120_000;

interface Opened {
  readonly presence: Presence;
  readonly place: HubPresencePlace;
}

async function open(t: Test, path: string, { logId = 'log', ttlMs = LONG_TTL_MS, clock = systemClock }: { readonly logId?: string; readonly ttlMs?: number; readonly clock?: Clock } = {}): Promise<Opened> {
  const place = new HubPresencePlace({ connection: hubWorker(path).connection, ttlMs, clock });
  const presence = new Presence({ place, mayHaveOthers: false, clock: systemClock, now: () => Date.now(), graceMs: GRACE_MS, counters: new Counters(), frameOf: (json) => Buffer.from(json) });
  t.teardown(() => presence.close());
  presence.join(logId);
  await until('it is up', () => presence.isWhole);
  return { presence, place };
}

const topic = (...names: string[]): Filter => new Filter(names);
const alice = { id: 'alice', meta: '{"a":1}' };

const shared = await openHub(t);
let logs = 0;
presenceContract('in the hub', {
  graceMs: GRACE_MS,
  open: async (t, count) => {
    const logId = `contract${logs++}`;
    return Promise.all(Array.from({ length: count }, async () => (await open(t, shared.path, { logId })).presence));
  },
  // What has to pass passes by itself: whoever waits for what comes after it waits long enough.
  pass: () => Promise.resolve(),
});

t.test('a hub that comes back knows nothing: it is told everything again, and nothing that has gone', async (t) => {
  const path = join(tempFolder(t), 'hub');
  const first = await openHub(t, { path });
  const all = (await Promise.all([open(t, path), open(t, path)])).map(({ presence }) => presence);
  const [one, two] = all as [Presence, Presence];
  for (let index = 0; index < 450; index++) one.enter(topic('many'), { id: `member ${String(index).padStart(3, '0')}`, meta: undefined });
  two.enter(topic('many', 'few'), alice);
  await shows(t, all, 'few', 'alice:1 of 1');
  await until('all are told', async () => (await two.counts(['many'])).answer[0]!.streams === 451);
  await first.close();
  await until('it is away', () => !one.isWhole && !two.isWhole);
  one.leave(topic('many'), 'member 000');
  await until('one knows its own', async () => (await one.counts(['many'])).answer[0]!.members === 449);
  t.match(await two.page('few', '', 1), { isPartial: true, answer: { members: [{ id: 'alice', streams: 1, meta: '{"a":1}' }] } });
  two.leave(topic('many', 'few'), 'alice');
  two.enter(topic('few'), undefined);
  await openHub(t, { path });
  await until('it is back', () => one.isWhole && two.isWhole);
  await until('alice is gone', async () => (await one.counts(['many'])).answer[0]!.members === 449);
  await shows(t, all, 'few', 'of 1');
});

t.test('a worker that is frozen for longer than its lease is gone at once, swept away, and tells everything again when it goes on', async (t) => {
  const clock = new TestClock();
  const { path } = await openHub(t, { clock });
  const { presence: survivor, place } = await open(t, path);
  // A clock that stands still renews nothing.
  const { presence: frozen } = await open(t, path, { ttlMs: 2_000, clock: new TestClock() });
  // More than one step of a sweep.
  for (let index = 0; index < 2_500; index++) frozen.enter(topic(`t${index}`), undefined);
  frozen.enter(topic('a', 'b'), alice);
  survivor.enter(topic('a'), { id: 'bob', meta: undefined });
  await shows(t, [survivor], 'a', 'alice:1 bob:1 of 2');
  await until('all is told', async () => (await survivor.counts(['t2499'])).answer[0]!.streams === 1);
  const { newest } = await place.changes(0);
  await clock.advance(1_001);
  t.same([await shown(survivor, 'a'), await shown(survivor, 'b')], ['bob:1 of 1', 'of 0']);
  t.same((await survivor.counts(['a', 'b', 't0'])).answer.map(({ streams, members }) => [streams, members]), [[1, 1], [0, 0], [0, 0]]);
  t.same((await survivor.topicsOf('alice', '', 10, () => true)).answer.topics, []);
  await until('those who watch are told of each topic', async () => {
    const { topics } = await place.changes(newest);
    return topics?.includes('b') === true && topics.includes('t2499') && topics.includes('t0');
  });
  t.match(await frozen.page('b', '', 5), { isPartial: true, answer: { members: [{ id: 'alice' }] } }, 'it answers with what it knows itself, and says so');
  await until('it has told everything again', () => frozen.isWhole);
  await shows(t, [survivor, frozen], 'a', 'alice:1 bob:1 of 2');
  await shows(t, [survivor, frozen], 't2499', 'of 1');
});

t.test('the end of a worker is told at once; its members may come back elsewhere', async (t) => {
  const { presence: one } = await open(t, shared.path, { logId: 'end' });
  const { presence: two } = await open(t, shared.path, { logId: 'end' });
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

t.test('a connection that broke: nothing counts twice, and nobody is gone meanwhile', async (t) => {
  const { path } = await openHub(t);
  const { connection } = hubWorker(path);
  const place = new HubPresencePlace({ connection, ttlMs: LONG_TTL_MS, clock: systemClock });
  let begun = 0;
  const listener = { begin: () => void begun++, lost: () => undefined, alone: () => undefined };
  t.teardown(() => place.close(0));
  place.join('log', listener);
  const tell = async (): Promise<void> => {
    await place.write([{ topic: 'a', member: 'alice', topicStreams: 2, isPresent: true, streams: 2, since: 5, meta: undefined, metaAt: 0 }]);
    await place.activate();
  };
  const { presence: other } = await open(t, path);
  await until('it may begin', () => begun === 1);
  await tell();
  await shows(t, [other], 'a', 'alice:2 of 2');
  connection.fail('broken by the test');
  await until('it may begin again', () => begun === 2);
  t.equal(await shown(other, 'a'), 'alice:2 of 2', 'what it told before still counts');
  await tell();
  t.equal(await shown(other, 'a'), 'alice:2 of 2');
  t.ok(place.isUp);
});

t.test('what the hub refuses keeps a worker from counting until it has told everything again', async (t) => {
  const { path, lines } = await openHub(t);
  const { presence: one } = await open(t, path);
  const { presence: other } = await open(t, path);
  one.enter(topic('a'), alice);
  await shows(t, [one, other], 'a', 'alice:1 of 1');
  // No credential makes such a member.
  const wrong = 'x'.repeat(MEMBER_MAX_BYTES + 1);
  one.enter(topic('b'), { id: wrong, meta: undefined });
  await until('it knows that the hub lacks something', () => !one.isWhole);
  one.leave(topic('b'), wrong);
  one.enter(topic('b'), undefined);
  await until('it has told everything', () => one.isWhole);
  await shows(t, [one, other], 'b', 'of 1');
  await shows(t, [one, other], 'a', 'alice:1 of 1');
  t.match(lines, [/a question to the hub was refused/]);
});

t.test('what has changed is told by its number; who comes late, or from a hub before, looks at everything', async (t) => {
  const { presence, place } = await open(t, shared.path, { logId: 'changes' });
  presence.enter(topic('a', 'b'), alice);
  await shows(t, [presence], 'b', 'alice:1 of 1');
  const first = await place.changes(0);
  t.same([...first.topics!].sort(), ['a', 'b']);
  t.same(await place.changes(first.newest), { newest: first.newest, topics: [] });
  presence.enter(topic('b'), undefined);
  await shows(t, [presence], 'b', 'alice:1 of 2');
  t.match(await place.changes(first.newest), { topics: ['b'] });
  t.equal((await place.changes(first.newest + 1_000_000)).topics, undefined);
  t.equal((await place.changes(7)).topics, undefined);
  for (let index = 0; index < 10_000; index++) presence.enter(topic(`t${index}`), undefined);
  await until('all are told', async () => (await presence.counts(['t9999'])).answer[0]!.streams === 1);
  t.equal((await place.changes(first.newest)).topics, undefined);
});
