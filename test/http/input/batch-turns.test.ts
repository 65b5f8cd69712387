import { t } from 'tap';
import { BatchTurns } from '../../../src/http/input/batch-turns.ts';

const BOUNDS = { messages: 1000, messageBytes: 1_000_000, eventBytes: 16 };

/** A batch that is interrupted several times while it is parsed. */
function batch(length: number): Buffer {
  const message = `{"topic":"a","data":[${'1,'.repeat(length / 20)}1]}`;
  return Buffer.from(`[${Array.from({ length: 10 }, () => message).join(',')}]`);
}

t.test('large batches are parsed one after the other, in their order, and a small one does not wait for them', async (t) => {
  const large = batch(4_000_000);
  // Side by side, it would be read before the first.
  const shorter = batch(1_000_000);
  const turns = new BatchTurns(large.length);
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
  const turns = new BatchTurns(200_000);
  const bad = Buffer.from(`[${' '.repeat(150_000)}1]`);
  const outcomes = await Promise.allSettled([turns.parse(bad, 'array', BOUNDS), turns.parse(bad, 'array', BOUNDS), turns.parse(batch(150_000), 'array', BOUNDS)]);
  t.same(outcomes.map(({ status }) => status), ['rejected', 'rejected', 'fulfilled']);
});
