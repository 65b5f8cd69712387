import { t } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import { Presence } from '../../src/presence/presence.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { presenceContract, shown } from '../contract/presence.ts';
import { TestClock } from '../support/clock.ts';

const GRACE_MS = 5_000;

let clock = new TestClock();

function alone(mayHaveOthers = false, counters = new Counters()): Presence {
  clock = new TestClock();
  return new Presence({ place: undefined, mayHaveOthers, clock, now: () => Date.now(), graceMs: GRACE_MS, counters });
}

presenceContract('in one process', {
  graceMs: GRACE_MS,
  open: (_t, count) => {
    const one = alone();
    return Promise.resolve(Array.from({ length: count }, () => one));
  },
  pass: (milliseconds) => clock.advance(milliseconds),
});

t.test('nothing is kept of what has gone', async (t) => {
  const presence = alone();
  const filter = new Filter(['a', 'b.*']);
  for (let index = 0; index < 100; index++) presence.enter(filter, index % 2 === 0 ? undefined : { id: `member ${index}`, meta: undefined });
  t.equal(presence.topics, 2);
  for (let index = 0; index < 100; index++) presence.leave(filter, index % 2 === 0 ? undefined : `member ${index}`);
  t.equal(presence.topics, 2, 'members are waited for');
  await clock.advance(GRACE_MS);
  t.equal(presence.topics, 0);
});

t.test('however many members come and go under new names, few are waited for', async (t) => {
  const presence = alone();
  for (let index = 0; index < 30_000; index++) {
    presence.enter(new Filter(['a']), { id: `${index}`, meta: undefined });
    presence.leave(new Filter(['a']), `${index}`);
  }
  t.equal((await presence.counts(['a'])).answer[0]!.members, 20_000);
  await clock.advance(GRACE_MS);
  t.equal(presence.topics, 0);
});

t.test('where there may be other instances that cannot be heard of, the answer is partial, and is counted', async (t) => {
  const counters = new Counters();
  const presence = alone(true, counters);
  presence.enter(new Filter(['a']), { id: 'alice', meta: undefined });
  t.match(await presence.page('a', '', 10), { isPartial: true, answer: { streams: 1, members: [{ id: 'alice' }] } });
  t.match(await presence.topicsOf('alice', '', 10, () => true), { isPartial: true, answer: { topics: [{ topic: 'a' }] } });
  t.equal(presence.isWhole, false);
  t.equal(counters.presencePartial, 2);
  await t.rejects(shown(presence, 'a'), /partial/);
});
