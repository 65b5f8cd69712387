import t from 'tap';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import { Rebalancing } from '../../src/fleet/rebalancing.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { TestClock } from '../support/clock.ts';

/** Shares of streams, on a clock that the test moves: what is sent away, how slowly, and when that ends. */

interface Ground {
  readonly isByChance?: boolean;
  readonly isOn?: boolean;
  /** The streams here. */
  readonly count: number;
  /** The streams of the others. */
  readonly others: readonly number[];
  /** Whether the balancer brings what was sent away to the others. */
  readonly arrives?: boolean;
  /** Whether they stay away for as long as the test lasts. */
  readonly staysAway?: boolean;
}

async function world({ isOn = true, isByChance = false, count, others, arrives = true, staysAway = false }: Ground) {
  const clock = new TestClock();
  const lines: string[] = [];
  const state = { isReady: true, others: others.map((streams) => ({ streams, isReady: true })) };
  const readers = new Set<Reader>();
  const counters = new Counters();
  /** When each was sent away. */
  const sent: number[] = [];
  const add = (): void => void readers.add({ isGone: false, openedTenths: Math.round(clock.monotonic() / 100) } as Reader);
  for (let index = 0; index < count; index++) add();
  const rebalancing = new Rebalancing({
    roster: { get reports() {
      return new Map(state.others.map((report, index) => [`${index}`, report]));
    } },
    streams: {
      readers,
      get size() {
        return readers.size;
      },
      end: (reader) => {
        readers.delete(reader);
        sent.push(clock.monotonic());
        if (staysAway) return;
        if (!arrives) add();
        else state.others.toSorted((one, other) => one.streams - other.streams)[0]!.streams++;
      },
    },
    clock, counters, logger: { info: (_facts: object | string, sentence?: string) => void lines.push(sentence ?? '') }, isReady: () => state.isReady,
    settings: { isOn, isByChance, minAgeMs: 30_000, retryMaxMs: 4_000 },
  });
  rebalancing.open();
  t.teardown(() => rebalancing.stop());
  return { clock, state, readers, sent, lines, counters, rebalancing };
}

t.test('an instance with more than its share sends streams away until it has its share, some in each second', async (t) => {
  const { clock, readers, sent, state, lines, counters } = await world({ count: 1_000, others: [0, 20] });
  await clock.advance(29_000);
  t.same(sent, [], 'all are young');
  await clock.advance(120_000);
  t.equal(readers.size, 340);
  t.same(state.others.map(({ streams }) => streams), [340, 340]);
  t.ok(Math.max(...[...Map.groupBy(sent, (at) => Math.floor(at / 1_000)).values()].map(({ length }) => length)) <= 50, 'slowly');
  t.equal(counters.rebalanced, 660);
  await clock.advance(600_000);
  t.equal(sent.length, 660, 'and no more');
  t.ok(lines.every((line) => line.includes('more than its share')));
});

t.test('differences within the margin are left alone, and so are small numbers', async (t) => {
  for (const [count, others, isSent] of [[1_100, [1_000, 1_000], false], [1_115, [1_000, 1_000], true], [1_050, [1_090, 890], true], [1_000, [1_090, 940], false], [20, [0], false], [50, [0], true], [1_000, [], false]] as const) {
    const { clock, sent } = await world({ count, others });
    await clock.advance(60_000);
    t.equal(sent.length > 0, isSent, `${count} and ${others.join()}`);
  }
});

t.test('workers that get connections by chance leave alone what chance explains', async (t) => {
  for (const [count, others, isSent] of [[130, [100], false], [180, [60], true], [140, [100, 100], false], [190, [100, 100], true]] as const) {
    for (const isByChance of [true, false]) {
      const { clock, sent } = await world({ count, others, isByChance });
      await clock.advance(60_000);
      t.equal(sent.length > 0, isSent || !isByChance, `${count} and ${others.join()}, by chance: ${isByChance}`);
    }
  }
});

t.test('where the balancer brings the streams back, it rests after each round, for longer and longer', async (t) => {
  const { clock, sent, lines } = await world({ count: 1_000, others: [0], arrives: false });
  await clock.advance(31_000 + 30_000);
  t.equal(sent.length, 500, 'one round');
  t.match(lines.at(-1), /did not arrive/);
  await clock.advance(3_600_000);
  const begins = sent.filter((at, index) => index === 0 || at - sent[index - 1]! > 10_000);
  const rests = begins.slice(1).map((at, index) => Math.round((at - begins[index]!) / 1_000) - 25);
  t.same(rests.map((seconds) => Math.round(seconds / 30) * 30), [30, 60, 120, 240, 480, ...Array<number>(rests.length - 5).fill(600)], 'perhaps the balancer was taught meanwhile');
  t.ok(rests.length >= 6);
});

t.test('nothing is sent away during a drain, to instances that are not ready, or where it is off', async (t) => {
  const draining = await world({ count: 1_000, others: [0] });
  draining.state.isReady = false;
  const alone = await world({ count: 1_000, others: [0] });
  alone.state.others[0]!.isReady = false;
  const off = await world({ count: 1_000, others: [0], isOn: false });
  for (const { clock, sent } of [draining, alone, off]) {
    await clock.advance(120_000);
    t.same(sent, []);
  }
  alone.state.others[0]!.isReady = true;
  await alone.clock.advance(3_000);
  t.ok(alone.sent.length > 0);
  const before = alone.sent.length;
  alone.state.isReady = false;
  await alone.clock.advance(120_000);
  t.equal(alone.sent.length, before, 'a drain ends the round');
});

t.test('on request, it shares out young streams at once, down to small differences', async (t) => {
  for (const [count, others, moving] of [[55, [45], 5], [51, [49], 1], [50, [49], 0], [1, [0], 0], [2, [0], 1], [1_000, [990], 0], [1_000, [960], 20], [30, [0, 0], 20], [10, [90], 0], [100, [], 0]] as const) {
    for (const isByChance of [false, true]) {
      const { clock, sent, rebalancing } = await world({ count, others, isByChance });
      t.same(rebalancing.shareNow(), { streams: count, moving }, `${count} and ${others.join()}`);
      await clock.advance(2_000);
      t.equal(sent.length, moving);
    }
  }
});

t.test('asked for, all that was announced leaves, at the usual pace and each once, whether it arrives elsewhere or not', async (t) => {
  for (const arrives of [true, false]) {
    const { clock, sent, rebalancing } = await world({ count: 2_000, others: [0], arrives });
    t.same(rebalancing.shareNow(), { streams: 2_000, moving: 1_000 });
    await clock.advance(10_000);
    t.ok(sent.length >= 400 && sent.length <= 500, `${sent.length}`);
    await clock.advance(20_000);
    t.equal(sent.length, 1_000);
  }
});

t.test('at a second request, it counts the streams on their way', async (t) => {
  const { clock, sent, rebalancing, state } = await world({ count: 200, others: [0], staysAway: true });
  t.equal(rebalancing.shareNow().moving, 100);
  await clock.advance(1_000);
  t.equal(sent.length, 50);
  t.same(rebalancing.shareNow(), { streams: 150, moving: 50 }, 'in the middle');
  await clock.advance(2_000);
  t.same(rebalancing.shareNow(), { streams: 100, moving: 0 }, 'at the end');
  state.others[0]!.streams = 60;
  t.same(rebalancing.shareNow(), { streams: 100, moving: 0 }, 'some are still on their way');
  await clock.advance(2_000);
  t.equal(sent.length, 100);
});

t.test('asked for, it does not wait until a rest is over', async (t) => {
  const { clock, sent, rebalancing } = await world({ count: 100, others: [0], arrives: false });
  await clock.advance(29_000);
  await clock.advance(25_000);
  t.equal(sent.length, 50, 'they came back here, and it rests');
  t.equal(rebalancing.shareNow().moving, 50);
  await clock.advance(2_000);
  t.equal(sent.length, 100);
});

t.test('asked for where it is off, or while the instance or the others are not ready, nothing leaves', async (t) => {
  for (const [isOn, isReady, othersAreReady] of [[false, true, true], [true, false, true], [true, true, false]] as const) {
    const { clock, sent, rebalancing, state } = await world({ count: 100, others: [0], isOn });
    state.isReady = isReady;
    state.others[0]!.isReady = othersAreReady;
    t.same(rebalancing.shareNow(), { streams: 100, moving: 0 });
    await clock.advance(2_000);
    t.equal(sent.length, 0);
  }
});

/** How old the reports of other instances may be, at the most. Milliseconds. */
const REPORT_MS = 5_000;
/** Streams that come back do so within this time, each at a moment of its own. Milliseconds. */
const BACK_MS = 4_000;

t.test('with any number of streams, an empty instance and full ones are within a tenth of each other after two minutes', async (t) => {
  for (const shares of [[300, 300, 0], [230, 230, 140], [3_000, 3_000, 0], [30_000, 30_000, 0], [3_000, 2_900, 2_700, 2_300, 0], [...Array<number>(19).fill(1_000), 0]]) {
    const clock = new TestClock();
    const total = shares.reduce((sum, count) => sum + count, 0);
    let away = 0;
    const reported = [...shares];
    const all = shares.map((count) => new Set(Array.from({ length: count }, () => ({ isGone: false, openedTenths: 0 }) as Reader)));
    const report = (): void => {
      for (const [index, { size }] of all.entries()) reported[index] = size;
      clock.after(REPORT_MS, report);
    };
    report();
    /** When each comes back that was sent away. */
    let returns: number[] = [];
    const comeBack = (): void => {
      const now = clock.monotonic();
      for (const at of returns) {
        // As a balancer does that goes by the fewest connections.
        if (at <= now) all.reduce((least, other) => other.size < least.size ? other : least).add({ isGone: false, openedTenths: Math.round(now / 100) } as Reader);
      }
      returns = returns.filter((at) => at > now);
      clock.after(500, comeBack);
    };
    comeBack();
    const instances = all.map((readers, index) => new Rebalancing({
      roster: { get reports() {
        return new Map(reported.flatMap((streams, other) => other === index ? [] : [[`${other}`, { streams, isReady: true }] as const]));
      } },
      streams: {
        readers,
        get size() {
          return readers.size;
        },
        end: (reader) => {
          readers.delete(reader);
          returns.push(clock.monotonic() + away++ * 97 % BACK_MS);
        },
      },
      clock, counters: new Counters(), logger: { info: () => undefined }, isReady: () => true, settings: { isOn: true, isByChance: false, minAgeMs: 30_000, retryMaxMs: BACK_MS },
    }));
    for (const instance of instances) instance.open();
    for (let second = 0; second < 120; second++) await clock.advance(1_000);
    for (const instance of instances) instance.stop();
    const sizes = all.map(({ size }) => size);
    t.equal(sizes.reduce((sum, size) => sum + size, 0), total);
    t.ok(Math.max(...sizes) - Math.min(...sizes) <= Math.max(20, 0.1 * total / all.length), `${shares.join()} became ${sizes.join()}`);
    t.ok(away <= total / 2, `${away} of ${total} were sent away`);
  }
});
