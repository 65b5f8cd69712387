import t from 'tap';
import { Figures, FIGURES, FIGURES_EVERY_MS, FIGURES_MAX_ENTRIES } from '../../src/fleet/figures.ts';
import { Instances, type InstanceDetail, type InstanceState } from '../../src/fleet/instances.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { Warnings } from '../../src/runtime/logging/warnings.ts';
import { TestClock } from '../support/clock.ts';

/** The last hour of an instance. */

/** What one note between instances holds. */
const NOTE_MAX_BYTES = 64 * 1024;

const STATE: InstanceState = {
  id: 'aaaaaaaaaa', version: '1.0.0', since: '2026-11-30T10:00:00.000Z', status: 'ready', streams: 50_000, publishesPerSecond: 9_999.9, deliveriesPerSecond: 999_999.9, loopDelayMs: 1_000, position: 999_999_999_999, residentBytes: 9e9,
  heapBytes: 9e9, database: 'unavailable', bus: 'degraded',
};

function world() {
  const clock = new TestClock();
  const counters = new Counters();
  const state = { size: 0, behind: { readers: 0, furthest: 0 } };
  const tail = { last: 0, log: { head: 0 } };
  const figures = new Figures({ clock, counters, streams: state, tail });
  figures.open();
  return { clock, counters, state, tail, figures };
}

t.test('every ten seconds it is kept how it was, and what has happened since', async (t) => {
  const { clock, counters, state, tail, figures } = world();
  const begin = Math.round(performance.timeOrigin / 1000);
  t.same(figures.since(0).time, [], 'nothing is known yet');
  Object.assign(counters, { published: 25, delivered: 1_000, deliveredBytes: 100_000 });
  counters.answer(200);
  counters.answer(503);
  counters.answer(500);
  Object.assign(state, { size: 7, behind: { readers: 3, furthest: 9 } });
  Object.assign(tail, { last: 40, log: { head: 42 } });
  await clock.advance(FIGURES_EVERY_MS);
  counters.delivered += 5;
  counters.answer(503);
  tail.last = 42;
  await clock.advance(FIGURES_EVERY_MS);
  const { time, loopDelayMs, residentBytes, ...rest } = figures.since(0);
  t.ok(Math.abs(time[0]! - begin - 10) <= 1 && time[1]! - time[0]! === 10, `${time.join()}`);
  t.ok(loopDelayMs.every((delay) => delay >= 0 && Number.isInteger(delay)), `${loopDelayMs.join()}`);
  t.ok(residentBytes.every((bytes) => bytes > 1e6));
  t.same(rest, { streams: [7, 7], publishesPerSecond: [2.5, 0], deliveriesPerSecond: [100, 0.5], bytesPerSecond: [10_000, 0], lag: [2, 0], readersBehind: [3, 3], errors: [2, 1] });
  t.same(figures.since(time[0]!).errors, [1], 'a page asks for what is new');
  t.same(Object.keys(figures.since(0)), FIGURES);
});

t.test('an instance that was frozen has rates of the time that passed', async (t) => {
  const { clock, counters, figures } = world();
  counters.published = 60;
  clock.spend(60_000);
  clock.runDue();
  t.same(figures.since(0).publishesPerSecond, [1]);
});

t.test('an hour is kept, and with the longest warnings its answer fits into a note', async (t) => {
  const { clock, counters, state, tail, figures } = world();
  Object.assign(state, { size: 50_000, behind: { readers: 50_000, furthest: 1e9 } });
  tail.log.head = 999_999_999;
  for (let count = 0; count < FIGURES_MAX_ENTRIES + 5; count++) {
    counters.published += 123_456;
    counters.delivered += 123_456_789;
    counters.deliveredBytes += 12_345_678_901;
    for (let errors = 0; errors < 10; errors++) counters.answer(503);
    await clock.advance(FIGURES_EVERY_MS);
  }
  t.same(Object.values(figures.since(0)).map((column) => column.length), FIGURES.map(() => FIGURES_MAX_ENTRIES));
  const warnings = new Warnings();
  for (let count = 0; count < 100; count++) warnings.add('warn', `${count}${'\u0001'.repeat(1_000)}`);
  const handlers = new Map<string, (body: unknown) => unknown>();
  const control = { answer: (kind: string, handler: (body: unknown) => unknown) => void handlers.set(kind, handler) };
  const roster = { ask: () => Promise.reject(new Error('nobody is asked')), askOne: () => Promise.resolve({ mayExist: true }) };
  const instances = new Instances({ instance: STATE.id, roster, control, state: () => STATE, figures, warnings: () => warnings.newest });
  const detail = await handlers.get('instance-detail')!({ to: STATE.id, after: 0 }) as InstanceDetail;
  t.strictSame(detail, await instances.one(STATE.id, 0));
  const bytes = Buffer.byteLength(JSON.stringify(detail));
  t.ok(bytes > 20_000 && bytes < NOTE_MAX_BYTES - 1_000, `${bytes} bytes`);
  for (const body of [{ to: 'bbbbbbbbbb', after: 0 }, { to: STATE.id }, { to: STATE.id, after: 'x' }, 'x', null]) t.equal(await handlers.get('instance-detail')!(body), undefined, JSON.stringify(body));
  await t.rejects(instances.one('bbbbbbbbbb', 0), { code: 'unavailable' }, 'it may be there, and does not answer');
});

t.test('the answer of an instance of another version is not misread', async (t) => {
  const { figures } = world();
  for (const [answer, code] of [['x', 'unavailable'], [{}, 'unavailable'], [{ ...STATE, figures: 7, warnings: [] }, 'unavailable'], [{ ...STATE, figures: {}, warnings: [], more: 1 }, undefined]] as const) {
    const roster = { ask: () => Promise.reject(new Error('nobody is asked')), askOne: () => Promise.resolve({ answer }) };
    const instances = new Instances({ instance: STATE.id, roster, control: { answer: () => undefined }, state: () => STATE, figures, warnings: () => [] });
    const asked = instances.one('bbbbbbbbbb', 0);
    if (code === undefined) t.strictSame(await asked, answer);
    else await t.rejects(asked, { code });
  }
});
