import t from 'tap';
import { dataSource } from '../../src/page/feed/data-source.ts';
import { openLevels } from '../../src/page/feed/open-levels.ts';
import { RATE_MAX_ENTRIES, RATE_MAX_VALUES, RATES_EVERY_MS, SeenRates } from '../../src/page/topics/seen-rates.ts';

/** What the page keeps of the rates of topics, and what it reads of a message. */

const answer = (rates: Readonly<Record<string, number>>, more = false) => ({ topics: Object.entries(rates).map(([topic, rate]) => ({ topic, rate })), more });

void t.test('the course of a topic: known rates, none where nobody published, and unknown where the answer was cut', async (t) => {
  const rates = new SeenRates();
  t.equal(rates.course('a'), undefined, 'nothing was asked');
  rates.add(answer({ a: 2, b: 1 }), '');
  rates.add(answer({ a: 3 }), '');
  t.strictSame(rates.course('a'), [2, 3]);
  t.strictSame(rates.course('b'), [1, 0], 'b had no message');
  t.strictSame(rates.course('c'), [0], 'nor had any other topic');
  rates.add(answer({ a: 4 }, true), '');
  t.strictSame(rates.course('a'), [2, 3, 4]);
  t.equal(rates.course('b'), undefined, 'b may be one of those that the answer left out');
  t.equal(rates.course('c'), undefined);
  rates.add(answer({ b: 5 }), 'b');
  t.strictSame(rates.course('b'), [1, 0, 5]);
  t.strictSame(rates.course('a'), [2, 3, 4], 'an answer about other topics says nothing of a');
  t.equal(rates.course('c'), undefined);
});

void t.test('rates are asked for from time to time, and at once for other topics', async (t) => {
  const rates = new SeenRates();
  t.ok(rates.isDue('', 1_000_000), 'nothing was asked');
  rates.add(answer({ a: 1 }), '', 1_000_000);
  t.notOk(rates.isDue('', 1_000_000 + RATES_EVERY_MS - 1));
  t.ok(rates.isDue('', 1_000_000 + RATES_EVERY_MS));
  t.ok(rates.isDue('b', 1_000_001));
});

void t.test('a page that is open for days keeps a limited number', async (t) => {
  const rates = new SeenRates();
  for (let turn = 0; turn < RATE_MAX_VALUES + 10; turn++) rates.add(answer({ a: turn }), '');
  t.equal(rates.course('a')!.length, RATE_MAX_VALUES);
  t.equal(rates.course('a')!.at(-1), RATE_MAX_VALUES + 9);
  for (let number = 0; number < RATE_MAX_ENTRIES + 100; number++) rates.add(answer({ [`t-${number}`]: 1 }, true), '');
  const kept = Array.from({ length: RATE_MAX_ENTRIES + 100 }, (_none, number) => rates.course(`t-${number}`)).filter((course) => course !== undefined);
  t.equal(kept.length, 1, 'those that the last answer did not tell are not known');
  rates.add(answer({}), '');
  t.strictSame(rates.course('a'), [0], 'a was forgotten, as one that was heard of long ago');
});

void t.test('the data of a message unchanged: each digit, with any names', async (t) => {
  const head = JSON.stringify({ id: 'e-1', topic: 'a,"data":1', event: '","data":2' }).slice(0, -1);
  t.equal(dataSource(`${head},"data":{"n": 12345678901234567890,"data":1.0}}\n`), '{"n": 12345678901234567890,"data":1.0}');
  t.equal(dataSource(`${head},"data":[]}`), '[]');
  t.equal(dataSource(`${head},"erased":true}`), undefined);
});

void t.test('a tree is open as far as that is some hundred lines: a stranger\'s message does not keep the browser busy', async (t) => {
  t.equal(openLevels({ a: { b: { c: { d: 1 } } } }, 100), 3);
  t.equal(openLevels(Array.from({ length: 50 }, () => Array.from({ length: 50 }, () => 1)), 100), 1);
  t.equal(openLevels(Array.from({ length: 10 }, () => Array.from({ length: 30 }, () => Array.from({ length: 100 }, () => 1))), 100), 2);
  t.equal(openLevels(Array.from({ length: 10_000 }, () => ({})), 100), 3, 'only those that are shown count');
  t.equal(openLevels('text', 100), 3);
});
