import t from 'tap';
import { CHARTED, extremes, FigureHistory, HISTORY_MAX_ENTRIES, HISTORY_MAX_SECONDS, shownTime, valueAt, type Charted, type Columns } from '../../src/page/fleet/figure-history.ts';

/** What the page keeps of the last hour of instances. */

/** Figures of moments ten seconds apart; each value is its time. */
function columns(from: number, count: number): Columns {
  const time = Array.from({ length: count }, (_none, place) => from + 10 * place);
  return { time, ...Object.fromEntries(CHARTED.map((name) => [name, time])) as Record<Charted, number[]> };
}

void t.test('answers are put together: each moment once, and an hour of them', async (t) => {
  const history = new FigureHistory();
  t.equal(history.newest('a'), 0, 'the first question asks for all');
  history.add('a', { figures: columns(1_000, 5), warnings: [] });
  t.equal(history.newest('a'), 1_040);
  history.add('a', { figures: columns(1_030, 5), warnings: [] });
  t.strictSame(history.all[0]!.figures.time, columns(1_000, 8).time, 'what came twice is there once');
  t.strictSame(history.all[0]!.figures.lag, columns(1_000, 8).time, 'and the figures belong to their times');
  history.add('a', { figures: columns(1_080, 0), warnings: [{ level: 'warn', message: 'm', time: 't', first: 't', count: 1 }] });
  t.match(history.all[0], { figures: { time: { length: 8 } }, warnings: [{ message: 'm' }] });
  history.add('a', { figures: columns(1_080, 500), warnings: [] });
  t.equal(history.all[0]!.figures.time.length, HISTORY_MAX_SECONDS / 10);
  for (const name of CHARTED) t.equal(history.all[0]!.figures[name].length, HISTORY_MAX_SECONDS / 10, name);
});

void t.test('an instance that ended stays for an hour, and a fleet that restarts again and again fills nothing', async (t) => {
  const history = new FigureHistory();
  history.add('old', { figures: columns(1_000, 5), warnings: [] });
  history.add('new', { figures: columns(1_050, 300), warnings: [] });
  t.strictSame(history.all.map(({ id }) => id), ['old', 'new']);
  history.add('new', { figures: columns(4_050, 60), warnings: [] });
  t.strictSame(history.all.map(({ id }) => id), ['new'], 'its last figure is more than an hour old');
  for (let number = 0; number < 100; number++) history.add(`short-${number}`, { figures: columns(4_600, 1), warnings: [] });
  t.equal(history.all.length, HISTORY_MAX_ENTRIES);
  t.equal(history.all.at(-1)!.id, 'short-99');
  const young = new FigureHistory();
  young.add('young', { figures: columns(0, 0), warnings: [] });
  t.strictSame(young.all.map(({ id }) => id), ['young'], 'one without figures is kept: its warnings are shown');
});

void t.test('a figure\'s range, and its value at a time', async (t) => {
  const course = { times: [10, 20, 30, 40], values: [3, 1, 7, 7] };
  t.strictSame(extremes(course), { now: 7, lowest: 1, lowestAt: 20, highest: 7, highestAt: 40 });
  t.equal(extremes({ times: [], values: [] }), undefined);
  t.strictSame([9, 10, 29, 45, 71].map((time) => valueAt(course, time, 30)), [undefined, 3, 1, 7, undefined], 'an old value is none of a later time');
});

void t.test('all charts show the same time: an hour, and for a new process ten minutes', async (t) => {
  t.equal(shownTime([]), undefined);
  t.equal(shownTime([{ times: [], values: [] }]), undefined);
  t.strictSame(shownTime([{ times: [5_000, 5_010], values: [1, 1] }, { times: [5_005, 5_015], values: [1, 1] }]), [4_415, 5_015]);
  t.strictSame(shownTime([{ times: [1_000, 6_000], values: [1, 1] }]), [2_400, 6_000]);
});
