import { t } from 'tap';
import { BatchTurns } from '../../../src/http/input/batch-turns.ts';
import { Budget, Hold } from '../../../src/runtime/sharing/budget.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { Slices } from '../../../src/runtime/slices.ts';
import { TestClock } from '../../support/clock.ts';

const BOUNDS = { messages: 1000, messageBytes: 1_000_000, eventBytes: 16 };

function batchTurns(maxBytes: number): BatchTurns {
  return new BatchTurns({ maxBytes, slices: new Slices(systemClock), counters: new Counters() });
}

/** A batch that is interrupted several times while it is parsed. */
function batch(length: number): Buffer {
  const message = `{"topic":"a","data":[${'1,'.repeat(length / 20)}1]}`;
  return Buffer.from(`[${Array.from({ length: 10 }, () => message).join(',')}]`);
}

t.test('large batches are parsed one after the other, in their order, and a small one does not wait for them', async (t) => {
  const large = batch(4_000_000);
  // Side by side, it would be read before the first.
  const shorter = batch(1_000_000);
  const turns = batchTurns(large.length);
  const ended: string[] = [];
  const parse = async (name: string, body: Buffer): Promise<void> => {
    const drafts = await turns.parse(body, 'array', BOUNDS);
    t.equal(drafts.length, 10);
    ended.push(name);
  };
  await Promise.all([parse('first', large), parse('second', shorter), parse('third', large), parse('small', batch(1_000))]);
  t.same(ended, ['small', 'first', 'second', 'third']);
});

t.test('a batch that is refused leaves its turn to the next', async (t) => {
  const turns = batchTurns(200_000);
  const bad = Buffer.from(`[${' '.repeat(150_000)}1]`);
  const outcomes = await Promise.allSettled([turns.parse(bad, 'array', BOUNDS), turns.parse(bad, 'array', BOUNDS), turns.parse(batch(150_000), 'array', BOUNDS)]);
  t.same(outcomes.map(({ status }) => status), ['rejected', 'rejected', 'fulfilled']);
});

t.test('a batch that waits for its turn makes room for who holds less, and one that is parsed does not', async (t) => {
  const large = batch(1_000_000);
  const turns = batchTurns(large.length);
  const budget = new Budget(3 * large.length, { gate: 'bodies', counters: new Counters(), clock: new TestClock() });
  const parse = async (): Promise<string> => {
    const hold = new Hold(budget, ['greedy', {}]);
    hold.grow(large.length);
    return turns.parse(large, 'array', BOUNDS, hold).then(() => 'parsed', ({ code }: { code: string }) => code).finally(() => hold.release());
  };
  const all = [parse(), parse(), parse()];
  const other = new Hold(budget, ['other', {}]);
  t.ok(other.grow(large.length / 2));
  t.ok(other.grow(large.length / 4));
  t.same(await Promise.all(all), ['parsed', 'parsed', 'overloaded']);
  t.equal(budget.heldBytes, other.bytes);
});

t.test('where nothing waits for its turn any more, nobody makes room', async (t) => {
  const large = batch(1_000_000);
  const turns = batchTurns(2 * large.length);
  const budget = new Budget(2 * large.length, { gate: 'bodies', counters: new Counters(), clock: new TestClock() });
  const holds = Array.from({ length: 2 }, () => new Hold(budget, ['greedy', {}]));
  const all = holds.map(async (hold) => {
    hold.grow(large.length);
    await turns.parse(large, 'array', BOUNDS, hold);
  });
  t.notOk(new Hold(budget, ['other', {}]).grow(1));
  await Promise.all(all);
  t.notOk(new Hold(budget, ['other', {}]).grow(1), 'their messages are on their way to the store');
});

t.test('clients take turns: who sends one batch does not wait for all batches of another', async (t) => {
  const large = batch(200_000);
  const turns = batchTurns(large.length);
  const budget = new Budget(100 * large.length, { gate: 'bodies', counters: new Counters(), clock: new TestClock() });
  const ended: string[] = [];
  const parse = async (name: string): Promise<void> => {
    const hold = new Hold(budget, [name, {}]);
    hold.grow(large.length);
    await turns.parse(large, 'array', BOUNDS, hold);
    hold.release();
    ended.push(name);
  };
  await Promise.all([...Array.from({ length: 10 }, () => parse('greedy')), parse('other')]);
  t.ok(ended.indexOf('other') <= 2, ended.join(', '));
  t.equal(ended.length, 11);
  t.equal(budget.heldBytes, 0);
});
