import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { measure } from '../measure.ts';
import { readOptions, WrongUse } from '../options.ts';
import { barChart } from '../report/charts.ts';
import { headline, withHeadline } from '../report/headline.ts';
import { page } from '../report/page.ts';
import type { Outcome, Row } from '../report/results.ts';
import { ratios, spread } from '../report/statistics.ts';
import { asMarkdown, range, tables } from '../report/table.ts';
import { asSentence, verdicts } from '../report/verdict.ts';
import { ratioTo, spreadOfCases } from '../scenarios/compare.ts';
import { fanout } from '../scenarios/fanout.ts';
import { NO_FAULTS, type Round, type Scenario } from '../scenarios/scenario.ts';
import type { Peer } from '../types.ts';

const round = (cpu: number, more: Partial<Round> = {}): Round => ({ figures: { cpu }, faults: NO_FAULTS, busy: 0.5, ...more });
const rows = (ours: readonly Round[], theirs: readonly Round[]): Row[] => [
  { case: 'all', peer: 'tidings', rounds: ours }, { case: 'all', peer: 'nchan', rounds: theirs },
];
const scenario: Scenario = {
  name: 'some', title: 'Some', how: 'Somehow.', caveats: [], peers: ['tidings', 'nchan'],
  figures: [{ key: 'cpu', title: 'CPU, µs', digits: 1 }, { key: 'other', title: 'other', digits: 0 }],
  cases: [{ title: 'all', run: () => Promise.resolve(round(1)) }],
  targets: [{ number: 1, says: 'CPU, to Nchan\'s', at: 'most', limit: 0.8, unit: '', digits: 2, value: ratioTo('nchan', 'all', 'tidings', 'cpu') }],
};

describe('statistics', () => {
  it('takes the middle of an odd count and the mean of the two middle ones of an even count', () => {
    assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
    assert.deepEqual(spread([10, 1, 2, 3]), { median: 2.5, min: 1, max: 10 });
    assert.throws(() => spread([]));
  });
  it('compares round with round, as far as both have one', () => {
    assert.deepEqual(ratios([1, 2, 3], [2, 8]), [0.5, 0.25]);
    assert.equal(ratios([1], undefined), undefined);
  });
  it('compares the most with the least of several cases, by their medians', () => {
    const value = spreadOfCases(['a', 'b'], 'tidings', 'cpu');
    assert.deepEqual(value((title) => title === 'a' ? [round(1), round(4), round(4.5)] : [round(2), round(2), round(9)]), [2]);
    assert.equal(value((title) => title === 'a' ? [round(1)] : undefined), undefined);
  });
});

describe('verdicts', () => {
  it('are by the median of the ratios of each round', () => {
    const [reached] = verdicts(scenario, rows([round(7), round(7), round(9)], [round(10), round(10), round(10)]));
    assert.equal(reached?.reached, true);
    assert.match(reached === undefined ? '' : asSentence(reached), /at most 0\.80: 0\.70 \(0\.70–0\.90\): reached$/);
    const [missed] = verdicts(scenario, rows([round(9)], [round(10)]));
    assert.equal(missed?.reached, false);
    assert.match(missed === undefined ? '' : asSentence(missed), /NOT reached$/);
  });
  it('are open where a peer was not measured', () => {
    assert.equal(verdicts(scenario, rows([round(9)], []))[0]?.reached, undefined);
  });
});

describe('tables', () => {
  it('show the median with the least and the most, and only columns that are filled', () => {
    assert.equal(range([1.04, 1, 1.21], 1), '1.0 (1.0–1.2)');
    assert.equal(range([1234], 0), '1,234');
    const [table] = tables(scenario, rows([round(7), round(8), round(9)], [round(10)]));
    assert.deepEqual(table?.head.slice(0, 3), ['', 'server', 'CPU, µs']);
    assert.equal(table?.body[0]?.[2], '8.0 (7.0–9.0)');
    assert.ok(!table?.head.includes('other'));
  });
  it('show the worst of all rounds of what must be zero', () => {
    const lossy = round(7, { faults: { ...NO_FAULTS, lost: 2, refused: 5 } });
    const [table] = tables(scenario, rows([round(7), lossy, round(7)], []));
    assert.equal(table?.body[0]?.[3], '2 / 0 / 0; 5 publishes refused');
  });
  it('mark what the load process may have limited', () => {
    const [table] = tables(scenario, rows([round(7, { busy: 0.95 })], [round(7, { busy: 0.9 })]));
    assert.equal(table?.body[0]?.[2], '7.0 †');
    assert.equal(table?.body[1]?.[2], '7.0');
    assert.match(table === undefined ? '' : asMarkdown(table), /\| 95 % † \|/);
  });
  it('mark what something else in the machine may have disturbed', () => {
    const [table] = tables(scenario, rows([round(7, { others: 0.5, busy: 0.95 })], [round(7, { others: 0.1 })]));
    assert.equal(table?.body[0]?.[2], '7.0 † ‡');
    assert.equal(table?.body[1]?.[2], '7.0');
  });
  it('tell why there is no figure', () => {
    const [table] = tables(scenario, [{ case: 'all', peer: 'nchan', rounds: [], missing: 'nginx is not installed' }]);
    assert.ok(table?.body[0]?.includes('nginx is not installed'));
  });
});

describe('the runner', () => {
  const peer = (name: string): Peer => ({ name, durable: false, versions: () => Promise.resolve({}), missing: () => undefined, start: () => Promise.reject(new Error('not here')) });
  it('lets peers take turns, and goes on without one that fails', async () => {
    const turns: string[] = [];
    const turning: Scenario = { ...scenario, cases: [{ title: 'all', run(one, { round: count, before }) {
      turns.push(`${one.name} ${count} ${before.length}`);
      return one.name === 'nchan' && count === 1 ? Promise.reject(new Error('broken')) : Promise.resolve(round(1));
    } }] };
    const measured = await measure(turning, { peers: [peer('tidings'), peer('nchan'), peer('other')], all: false, rounds: 3, quick: false, scratch: '', say: () => {} });
    assert.deepEqual(turns, ['tidings 0 0', 'nchan 0 0', 'tidings 1 1', 'nchan 1 1', 'tidings 2 2']);
    assert.deepEqual(measured.map((row) => [row.peer, row.rounds.length, row.failed]), [['tidings', 3, undefined], ['nchan', 1, 'failed in round 2: broken']]);
  });
});

describe('the command line', () => {
  it('names the scenarios that there are', () => {
    assert.throws(() => readOptions(['fanuot'], ['fanout', 'storm']), (error) => error instanceof WrongUse && /fanout storm/.test(error.message));
    assert.throws(() => readOptions(['--rounds', 'x'], []), WrongUse);
  });
  it('keeps only what a full run measured', () => {
    assert.equal(readOptions(['fanout'], ['fanout']).write, true);
    for (const words of [['--quick'], ['--rounds', '2'], ['--no-docs'], ['--quick', '--rounds', '3']]) assert.equal(readOptions(words, []).write, false, words.join(' '));
  });
});

describe('the page', () => {
  const outcome: Outcome = {
    date: '2026-11-22T06:00:00.000Z', command: 'npm run bench', how: 'Somehow.', commit: 'abc1234', seconds: 60, versions: { node: 'v24.0.0' },
    machine: { cpu: 'Some CPU', cores: 2, memoryGiB: 8, kernel: 'Linux 6' },
    rows: [
      { case: '10,000 streams, 5 messages a second', peer: 'tidings', rounds: [round(7), round(7.1), round(7.2)] },
      { case: '10,000 streams, 5 messages a second', peer: 'nchan', rounds: [round(9), round(9.1), round(9.2)] },
    ],
  };
  it('holds the tables, what was reached, the machine, the commands and the hand-written part', () => {
    const text = page({ [fanout.name]: outcome }, ['![chart](fanout.svg)'], 'It is made of writes.');
    for (const part of ['7.10 (7.00–7.20)', '0.78', 'not measured', 'Some CPU', 'npm run bench -- fanout', 'abc1234', '![chart](fanout.svg)', 'It is made of writes.', 'node v24.0.0']) {
      assert.ok(text.includes(part), part);
    }
  });
  it('draws a bar for each server, as SVG', () => {
    const svg = barChart('Title', 'µs', 1, [{ name: 'tidings', values: [7, 7.1], emphasised: true }, { name: 'nchan', values: [9], emphasised: false }]);
    assert.match(svg, /^<svg/);
    for (const part of ['tidings', 'nchan', 'Title', '7.1', '9.0']) assert.ok(svg.includes(part), part);
  });
});

describe('the headline', () => {
  const outcome = (named: Row[]): Outcome => ({
    date: '2026-01-01T00:00:00Z', command: 'npm run bench', commit: 'abc', seconds: 1, how: '', machine: { cpu: 'c', cores: 2, memoryGiB: 1, kernel: 'k', node: 'n' } as Outcome['machine'], versions: {}, rows: named,
  });
  const row = (title: string, peer: string, figures: Record<string, number>): Row => ({ case: title, peer, rounds: [{ ...round(1), figures }] });
  const results = {
    saturation: outcome([row('10,000 streams', 'tidings', { deliveries: 1_533_919 }), row('10,000 streams', 'nchan', { deliveries: 90_158 })]),
    fanout: outcome([row('10,000 streams, 5 messages a second', 'tidings', { cpu: 10.51 }), row('10,000 streams, 5 messages a second', 'bare-net', { cpu: 9.3 })]),
  };
  it('says medians, and nothing while one is missing', () => {
    assert.match(headline(results) ?? '', /makes 1,500,000 deliveries .*: 90,000\).* 10\.5 µs .* 9\.3 µs there/);
    assert.equal(headline({ saturation: results.saturation }), undefined);
    assert.equal(headline({}), undefined);
  });
  it('stands between its marks, and only there', () => {
    const readme = 'a\n<!-- Made by `npm run bench`. -->\nold\n<!-- End of what is made. -->\nb\n';
    const once = withHeadline(readme, 'new');
    assert.equal(once, readme.replace('old', 'new'));
    assert.equal(withHeadline(once, 'new'), once);
    assert.equal(withHeadline(readme, undefined), readme);
    assert.equal(withHeadline('no marks', 'new'), 'no marks');
  });
});
