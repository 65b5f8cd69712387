import t from 'tap';
import { ControlChannel } from '../../src/bus/control-channel.ts';
import { Roster } from '../../src/fleet/roster.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { settle, TestClock } from '../support/clock.ts';

/** Which other instances there are, and what becomes of a question to all, on a bus that the test rules. */

type BusState = 'up' | 'degraded' | 'local';

const idOf = (index: number): string => `instance${index}`.padEnd(10, 'x');

function world(count: number) {
  const clock = new TestClock();
  const state = { bus: 'up' as BusState, receivers: undefined as number | undefined, others: false, silent: new Set<number>(), hearAllOnly: new Set<number>(), gone: new Set<number>(), isCounting: true, heard: Array.from({ length: count }, (): string[] => []) };
  const counters = new Counters();
  const channels: ControlChannel[] = [];
  const buses = Array.from({ length: count }, (_, self) => ({
    get state() {
      return state.bus;
    },
    get receivers() {
      return state.receivers;
    },
    tell: (note: string, to?: string, reached?: (listening: number) => void): void => {
      if (state.silent.has(self) || state.gone.has(self)) return;
      const listening = channels.filter((_, index) => to === idOf(index) && !state.gone.has(index) && !state.hearAllOnly.has(index)).length;
      if (to !== undefined && state.isCounting) queueMicrotask(() => reached?.(listening));
      channels.forEach((channel, index) => {
        if (index === self || state.silent.has(index) || state.gone.has(index) || (to !== undefined && (to !== idOf(index) || state.hearAllOnly.has(index)))) return;
        state.heard[index]!.push(note);
        queueMicrotask(() => channel.told(note));
      });
    },
  }));
  const rosters = buses.map((bus, self) => {
    const control = new ControlChannel({ bus, clock, counters, instance: idOf(self), look: () => undefined });
    channels.push(control);
    control.answer('who', () => ({ self }));
    return new Roster({ instance: idOf(self), control, bus, clock, report: () => ({ streams: self * 10, isReady: self !== 2 }), hasSeenOthers: () => state.others });
  });
  return { clock, state, rosters, channels };
}

/** How many answered a question to all, and what is said of the others. */
async function ask(roster: Roster): Promise<{ readonly answered: number; readonly missing: readonly string[]; readonly isPartial: boolean }> {
  const { answers, ...rest } = await roster.ask('who', {});
  return { answered: answers.size, ...rest };
}

t.test('instances know each other by their reports, which grow old, and forget one that leaves', async (t) => {
  const { clock, state, rosters } = world(3);
  for (const roster of rosters) roster.open();
  await clock.advance(1_000);
  t.same(rosters.map(({ others }) => others), [[idOf(1), idOf(2)], [idOf(0), idOf(2)], [idOf(0), idOf(1)]], 'a new one is told at the next look');
  t.match(rosters[0]!.reports.get(idOf(1)), { streams: 10, isReady: true });
  t.match(rosters[0]!.reports.get(idOf(2)), { streams: 20, isReady: false });
  rosters[2]!.leave();
  state.silent.add(1);
  await clock.advance(20_000);
  t.same(rosters[0]!.others, [idOf(1)], 'it is expected to answer');
  t.equal(rosters[0]!.reports.size, 0, 'what it said of itself is too old');
  await clock.advance(60_000);
  t.same(rosters[0]!.others, []);
});

t.test('one that is said to be gone is missed by nobody, on any instance, and nothing that is still on its way brings it back', async (t) => {
  const { clock, state, rosters, channels } = world(3);
  for (const roster of rosters) roster.open();
  await clock.advance(1_000);
  state.silent.add(2);
  state.receivers = 2;
  rosters[0]!.gone(idOf(2));
  await settle();
  t.same(rosters.slice(0, 2).map(({ others }) => others), [[idOf(1)], [idOf(0)]]);
  t.match(await ask(rosters[0]!), { answered: 1, missing: [], isPartial: false });
  for (const channel of channels) channel.told(JSON.stringify({ kind: 'instance', id: '', body: { id: idOf(2), streams: 1, isReady: true } }));
  t.same(rosters.slice(0, 2).map(({ others }) => others), [[idOf(1)], [idOf(0)]]);
  const { length } = state.heard[1]!;
  rosters[0]!.gone(idOf(2));
  t.equal(state.heard[1]!.length, length, 'it is told once');
  for (let count = 0; count < 1_500; count++) rosters[0]!.gone(`i${String(count).padStart(9, '0')}`);
  t.same(rosters[0]!.others, [idOf(1)]);
});

t.test('a question to all is over when all have answered that are known, or that Redis counts', async (t) => {
  const { clock, state, rosters } = world(3);
  for (const roster of rosters) roster.open();
  await clock.advance(1_000);
  state.receivers = 3;
  t.match(await ask(rosters[0]!), { answered: 2, missing: [], isPartial: false }, 'no time has passed');

  // One was killed: Redis does not count it any more.
  state.silent.add(1);
  state.receivers = 2;
  const short = ask(rosters[0]!);
  await clock.advance(600);
  t.match(await Promise.race([short, Promise.resolve()]), { answered: 1, missing: [idOf(1)], isPartial: false });

  // One is frozen: Redis counts it.
  state.receivers = 3;
  const long = ask(rosters[0]!);
  await clock.advance(2_000);
  t.equal(await Promise.race([long, Promise.resolve('nothing')]), 'nothing');
  await clock.advance(1_000);
  t.match(await long, { answered: 1, missing: [idOf(1)], isPartial: true });
});

t.test('an instance that has answered is expected to answer again, though no report of it came', async (t) => {
  const { clock, state, rosters } = world(2);
  state.receivers = 2;
  t.match(await ask(rosters[0]!), { answered: 1, missing: [] });
  t.equal(rosters[0]!.reports.size, 0);
  state.silent.add(1);
  const asking = ask(rosters[0]!);
  await clock.advance(3_000);
  t.match(await asking, { answered: 0, missing: [idOf(1)], isPartial: true });
});

t.test('instances of the version before have no name: the answer says that something may be missing', async (t) => {
  const { clock, state, rosters } = world(2);
  for (const roster of rosters) roster.open();
  await clock.advance(1_000);
  state.receivers = 3;
  const asking = ask(rosters[0]!);
  await clock.advance(3_000);
  t.match(await asking, { answered: 1, missing: [], isPartial: true });
});

t.test('in a cluster, where nobody counts instances, the known ones count', async (t) => {
  const { clock, rosters } = world(2);
  rosters[1]!.open();
  await clock.advance(1_000);
  rosters[0]!.open();
  const first = ask(rosters[0]!);
  await clock.advance(1_000);
  t.match(await first, { answered: 1, isPartial: false }, 'just after the start it waits for those it has not heard of');
  await clock.advance(20_000);
  t.match(await ask(rosters[0]!), { answered: 1, missing: [], isPartial: false });
});

t.test('without a bus an answer is partial where another process has written to the log; while Redis is away it always is', async (t) => {
  const { clock, state, rosters: [one] } = world(1);
  state.bus = 'local';
  one!.open();
  t.match(await ask(one!), { answered: 0, missing: [], isPartial: false });
  state.others = true;
  t.match(await ask(one!), { isPartial: true });
  state.bus = 'degraded';
  state.others = false;
  t.match(await ask(one!), { isPartial: true });
  await clock.advance(0);
});

t.test('a text that is no report means nothing, and many names fill no memory', async (t) => {
  const { channels: [one], rosters: [roster] } = world(1);
  for (const body of [undefined, null, 1, 'x', [], {}, { id: 7, streams: 1, isReady: true }, { id: 'x', streams: 1, isReady: true }, { id: idOf(1), streams: 'x', isReady: true }, { id: idOf(1), streams: 1 }, { id: idOf(0), streams: 1, isReady: true }]) {
    one!.told(JSON.stringify({ kind: 'instance', id: '', body }));
  }
  await settle();
  t.same(roster!.others, []);
  for (let count = 0; count < 1_500; count++) one!.told(JSON.stringify({ kind: 'instance', id: '', body: { id: `i${String(count).padStart(9, '0')}`, streams: 1, isReady: true } }));
  t.equal(roster!.others.length, 1_000);
});

/** What came of a question, and how long it took. */
async function soon(clock: TestClock, asked: Promise<unknown>): Promise<readonly [unknown, number]> {
  const before = clock.monotonic();
  let took = 0;
  void asked.then(() => {
    took = clock.monotonic() - before;
  });
  await clock.advance(3_000);
  return [await asked, took];
}

t.test('one that is asked alone is waited for while it is expected to answer, and one that nobody knows is not', async (t) => {
  const { clock, state, rosters, channels } = world(3);
  for (const roster of rosters) roster.open();
  await clock.advance(1_000);
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: true }, 2_500], 'just after the start, not all have been heard');
  await clock.advance(20_000);
  channels[1]!.answer('one', (body) => ({ got: body }));
  t.same(await rosters[0]!.askOne(idOf(1), 'one', { a: 1 }), { answer: { got: { a: 1 } } }, 'the others keep silent');
  t.same(await soon(clock, rosters[0]!.askOne(idOf(2), 'one', {})), [{ mayExist: true }, 2_500], 'it is of an older version, or frozen');
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: false }, 500]);
  state.receivers = 4;
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: true }, 2_500], 'one that listens has no name');
  state.receivers = undefined;
  state.isCounting = false;
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: false }, 2_500], 'in a cluster nobody says who listens');
  for (const [bus, others, mayExist] of [['degraded', false, true], ['local', false, false], ['local', true, true]] as const) {
    Object.assign(state, { bus, others });
    t.same(await rosters[0]!.askOne('aaaaaaaaaa', 'one', {}), { mayExist }, `${bus} ${others}`);
  }
});

t.test('what one instance is asked no other hears, nor the answer; one of an older version hears what all hear', async (t) => {
  const { clock, state, rosters, channels } = world(3);
  for (const roster of rosters) roster.open();
  await clock.advance(20_000);
  channels[1]!.answer('one', () => 'a large answer');
  t.same(await rosters[0]!.askOne(idOf(1), 'one', { a: 'large question' }), { answer: 'a large answer' });
  t.notMatch(state.heard[2]!.join(), /large/);
  channels[0]!.told(JSON.stringify({ kind: 'instance', id: '', body: { id: idOf(1), streams: 1, isReady: true } }));
  t.same(await rosters[0]!.askOne(idOf(1), 'one', { a: 'large question' }), { answer: 'a large answer' });
  t.match(state.heard[2]!.join(), /large question/);
  t.notMatch(state.heard[2]!.join(), /large answer/);
});

t.test('an instance that has told nothing of itself yet may be of an older version: it is asked so that it hears', async (t) => {
  const { clock, state, rosters, channels } = world(3);
  state.receivers = 3;
  rosters[0]!.open();
  await clock.advance(1_000);
  // Instances 1 and 2 tell nothing. The first one is of an older version, which has no channel of its own.
  state.hearAllOnly.add(1);
  channels[1]!.answer('one', () => 'an answer');
  t.same(await soon(clock, rosters[0]!.askOne(idOf(1), 'one', {})), [{ answer: 'an answer' }, 0], 'nobody knows it');
  t.same(await soon(clock, rosters[0]!.askOne(idOf(1), 'one', {})), [{ answer: 'an answer' }, 0], 'it has only answered');
  await rosters[0]!.ask('who', {});
  state.heard[2] = [];
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', { a: 'made up' })), [{ mayExist: false }, 500]);
  t.notMatch(state.heard[2].join(), /made up/, 'where all are known, no instance hears of one that was made up');
});

t.test('one that listens may exist, though nobody has heard of it, and another one was killed a moment ago', async (t) => {
  const { clock, state, rosters } = world(4);
  state.receivers = 3;
  // The last one has not told anything of itself yet.
  for (const roster of rosters.slice(0, 3)) roster.open();
  await clock.advance(20_000);
  state.gone.add(2);
  state.receivers = 3;
  t.same(await soon(clock, rosters[0]!.askOne(idOf(3), 'one', {})), [{ mayExist: true }, 2_500], 'it is busy');
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: false }, 500], 'nobody listens under this name');
  t.same(await soon(clock, rosters[0]!.askOne(idOf(2), 'one', {})), [{ mayExist: true }, 500], 'the bus may be away from one that was heard just now');
  rosters[3]!.open();
  await clock.advance(80_000);
  t.same(await soon(clock, rosters[0]!.askOne(idOf(2), 'one', {})), [{ mayExist: false }, 500], 'it was not heard for a minute');
});

t.test('an older version that was killed does not stand for one that has just started', async (t) => {
  const { clock, state, rosters } = world(4);
  state.receivers = 3;
  for (const roster of rosters.slice(0, 3)) roster.open();
  await clock.advance(1_000);
  state.gone.add(2);
  await clock.advance(20_000);
  // In its place is one that hears only what all hear, and has not told anything of itself.
  state.hearAllOnly.add(3);
  t.same(await soon(clock, rosters[0]!.askOne(idOf(3), 'one', {})), [{ mayExist: true }, 2_500]);
});

t.test('an unasked question has no answer: too many questions wait, or the bus has just come back', async (t) => {
  const { clock, state, rosters, channels } = world(2);
  state.receivers = 2;
  for (const roster of rosters) roster.open();
  await clock.advance(1_000);
  const many = Array.from({ length: 1_000 }, () => channels[0]!.ask('nobody answers this', {}));
  t.same(await rosters[0]!.askOne('aaaaaaaaaa', 'one', {}), { mayExist: true });
  await clock.advance(3_000);
  await Promise.all(many);
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: false }, 500]);
  state.bus = 'degraded';
  await clock.advance(90_000);
  state.bus = 'up';
  state.receivers = 1;
  await clock.advance(2_000);
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: true }, 500], 'its connection may come back a moment later than this one');
  await clock.advance(20_000);
  t.same(await soon(clock, rosters[0]!.askOne('aaaaaaaaaa', 'one', {})), [{ mayExist: false }, 500]);
});
