import t, { type Test } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import type { MemberPage, PresencePage } from '../../src/presence/place.ts';
import type { Presence, Told } from '../../src/presence/presence.ts';
import { until } from '../support/until.ts';

/** What presence must do, wherever instances put it together: in one process, or in a place that several share. */

export interface PresenceKit {
  /** Instances of one log, in whatever order: a kind that has one only gives it as often as is asked for. They tell of all of them. */
  readonly open: (t: Test, count: number) => Promise<readonly Presence[]>;
  /** How long a member stays without a stream. */
  readonly graceMs: number;
  /** Lets the grace period pass. */
  readonly pass: (milliseconds: number) => Promise<void>;
}

const filter = (...names: string[]): Filter => new Filter(names);
const member = (id: string, meta?: string): { id: string; meta: string | undefined } => ({ id, meta });

/** All that is told of a topic, in pages of three. */
async function everybody(presence: Presence, topic: string): Promise<Omit<PresencePage, 'next'>> {
  const members = [];
  let after = '';
  for (;;) {
    const { answer, isPartial } = await presence.page(topic, after, 3);
    if (isPartial) throw new Error('The answer is partial.');
    members.push(...answer.members);
    if (answer.next === undefined) return { streams: answer.streams, members };
    after = answer.next;
  }
}

/** Everybody with their streams: `alice:2 bob:1 of 4`. */
export async function shown(presence: Presence, topic: string): Promise<string> {
  const { streams, members } = await everybody(presence, topic);
  return [...members.map(({ id, streams: own }) => `${id}:${own}`), `of ${streams}`].join(' ');
}

/** What is told a moment later, on every instance. */
export async function shows(t: Test, all: readonly Presence[], topic: string, expected: string): Promise<void> {
  for (const presence of all) {
    let last = '';
    await until(`${topic} is "${expected}"`, async () => (last = await shown(presence, topic)) === expected).catch((error: unknown) => t.fail(`${String(error)}; it is "${last}"`));
  }
}

async function topicsOf(presence: Presence, id: string, maySee: (topic: string) => boolean = () => true): Promise<readonly string[]> {
  const { answer }: Told<MemberPage> = await presence.topicsOf(id, '', 100, maySee);
  return answer.topics.map(({ topic, streams }) => `${topic}:${streams}`);
}

export function presenceContract(name: string, { open, graceMs, pass }: PresenceKit): void {
  t.test(`${name}: one member with three tabs is one member with three streams; anonymous streams count`, async (t) => {
    const [one, two] = await open(t, 2) as [Presence, Presence];
    for (const instance of [one, two, one]) instance.enter(filter('news'), member('alice'));
    two.enter(filter('news'), member('bob'));
    one.enter(filter('news'), undefined);
    await shows(t, [one, two], 'news', 'alice:3 bob:1 of 5');
    one.leave(filter('news'), undefined);
    one.leave(filter('news'), 'alice');
    two.leave(filter('news'), 'alice');
    await shows(t, [one, two], 'news', 'alice:1 bob:1 of 2');
    t.same((await two.counts(['none', 'news'])).answer, [{ topic: 'none', streams: 0, members: 0 }, { topic: 'news', streams: 2, members: 2 }]);
  });

  t.test(`${name}: a stream is present on the topics and patterns that it names, and on no other`, async (t) => {
    const [one, two] = await open(t, 2) as [Presence, Presence];
    one.enter(filter('orders.>', 'news'), member('alice'));
    two.enter(filter('orders.7'), member('alice'));
    await shows(t, [one, two], 'orders.>', 'alice:1 of 1');
    await shows(t, [one, two], 'orders.7', 'alice:1 of 1');
    await shows(t, [one, two], 'orders.8', 'of 0');
    t.same(await topicsOf(one, 'alice'), ['news:1', 'orders.7:1', 'orders.>:1']);
    t.same(await topicsOf(two, 'alice', (topic) => topic === 'news'), ['news:1']);
    t.same(await topicsOf(two, 'bob'), []);
  });

  t.test(`${name}: members come by the bytes of their ids, each once, with any text in them`, async (t) => {
    const [one, two] = await open(t, 2) as [Presence, Presence];
    const ids = ['a', 'a b', 'a\tb', 'a\nb', 'ab', 'b', 'key:1', 'z', 'é', 'ﬀ', '￼', '😀', '🏳️‍🌈'].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    ids.toReversed().forEach((id, index) => (index % 2 === 0 ? one : two).enter(filter('all'), member(id)));
    for (const id of ids) two.enter(filter('all'), member(id));
    for (const presence of [one, two]) {
      await until('all are there', async () => (await presence.counts(['all'])).answer[0]!.streams === 2 * ids.length);
      t.same((await everybody(presence, 'all')).members.map(({ id, streams }) => [id, streams]), ids.map((id) => [id, 2]));
    }
  });

  t.test(`${name}: the newest metadata counts, and is told as it was given; since is when the first stream came`, async (t) => {
    const [one, two] = await open(t, 2) as [Presence, Presence];
    const before = Date.now();
    one.enter(filter('m'), member('alice', '{"status": "away", "n": 12345678901234567890}'));
    await shows(t, [two], 'm', 'alice:1 of 1');
    const [first] = (await everybody(two, 'm')).members;
    t.equal(first!.meta, '{"status": "away", "n": 12345678901234567890}');
    t.ok(first!.since >= before && first!.since <= Date.now(), `${first!.since}`);
    await until('time has passed', () => Date.now() > first!.since);
    two.enter(filter('m'), member('alice', '"hére\\n\\ud83d\\ude00"'));
    await shows(t, [one], 'm', 'alice:2 of 2');
    two.enter(filter('m'), member('alice'));
    await shows(t, [one, two], 'm', 'alice:3 of 3');
    for (const presence of [one, two]) t.match((await everybody(presence, 'm')).members, [{ meta: '"hére\\n\\ud83d\\ude00"', since: first!.since }]);
  });

  t.test(`${name}: who comes back within the grace period, on whichever instance, was never gone`, async (t) => {
    const [one, two] = await open(t, 2) as [Presence, Presence];
    one.enter(filter('g'), member('alice'));
    one.enter(filter('g'), member('bob'));
    await shows(t, [two], 'g', 'alice:1 bob:1 of 2');
    const since = (await everybody(two, 'g')).members[0]!.since;
    one.leave(filter('g'), 'alice');
    one.leave(filter('g'), 'bob');
    await shows(t, [one, two], 'g', 'alice:0 bob:0 of 0');
    two.enter(filter('g'), member('alice'));
    await shows(t, [one, two], 'g', 'alice:1 bob:0 of 1');
    await pass(graceMs);
    await shows(t, [one, two], 'g', 'alice:1 of 1');
    t.equal((await everybody(one, 'g')).members[0]!.since, since);
    t.same(await topicsOf(two, 'bob'), []);
    two.leave(filter('g'), 'alice');
    await pass(graceMs);
    await shows(t, [one, two], 'g', 'of 0');
  });
}
