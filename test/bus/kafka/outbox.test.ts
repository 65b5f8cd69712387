import { ResponseError } from '@platformatic/kafka';
import t from 'tap';
import { Outbox, type Envelope } from '../../../src/bus/kafka/outbox.ts';

const KIB = 1024;
/** The bounds of the outbox, under the same names there. */
const UNCONFIRMED_MAX_BYTES = 8 * 1024 * KIB;
const TOGETHER_MAX_BYTES = 512 * KIB;

const KEY = Buffer.from('commit');

function open(): { outbox: Outbox; batches: (readonly Envelope[])[]; answer: (error?: Error) => Promise<void>; told: unknown[] } {
  const batches: (readonly Envelope[])[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  const told: unknown[] = [];
  const outbox = new Outbox({
    send: (envelopes) => {
      batches.push(envelopes);
      waiting.push(Promise.withResolvers());
      return waiting.at(-1)!.promise;
    },
    tooLarge: () => void told.push('too large'),
    failed: (error) => void told.push(error),
  });
  const answer = async (error?: Error): Promise<void> => {
    const { resolve, reject } = waiting.shift()!;
    if (error === undefined) resolve();
    else reject(error);
    await new Promise((next) => setImmediate(next));
  };
  return { outbox, batches, answer, told };
}

t.test('one batch leaves at a time; what comes meanwhile leaves together, in order, within a bound', async (t) => {
  const { outbox, batches, answer } = open();
  const put = (bytes: number): void => outbox.put({ key: KEY, value: Buffer.alloc(bytes) });
  const sizes = (): number[][] => batches.map((batch) => batch.map(({ value }) => value.length));
  for (const bytes of [1, 2, 3, TOGETHER_MAX_BYTES, 4]) put(bytes);
  t.same(sizes(), [[1]]);
  for (let count = 0; count < 4; count++) await answer();
  t.same(sizes(), [[1], [2, 3], [TOGETHER_MAX_BYTES], [4]]);
  await outbox.empty();
  put(5);
  t.same(sizes().at(-1), [5]);
});

t.test('what is unconfirmed is bounded, small envelopes too; what is confirmed makes room', async (t) => {
  const { outbox, batches, answer } = open();
  let count = 0;
  for (; outbox.hasRoom(0); count++) outbox.put({ key: KEY, value: Buffer.alloc(0) });
  t.ok(count <= UNCONFIRMED_MAX_BYTES / KIB, String(count));
  t.notOk(outbox.hasRoom(0));
  while (batches.flat().length < count) await answer();
  await answer();
  t.ok(outbox.hasRoom(UNCONFIRMED_MAX_BYTES - KIB));
  t.notOk(outbox.hasRoom(UNCONFIRMED_MAX_BYTES));
});

t.test('a batch that is too large is told as such; other failures are told, and the next batch leaves', async (t) => {
  const { outbox, batches, answer, told } = open();
  const refusal = (code: number): Error => new ResponseError(0, 7, { '/responses/0': [code, null] }, {});
  for (let count = 0; count < 3; count++) {
    outbox.put({ key: KEY, value: Buffer.alloc(1) });
    await answer(refusal(count === 0 ? 10 : 29));
  }
  t.equal(batches.length, 3);
  t.same([told[0], told.length], ['too large', 3]);
  t.match(told[1], /Produce/);
});

t.test('a hint that is too large is a failure: another hint would be, too', async (t) => {
  const { outbox, answer, told } = open();
  const tooLarge = new ResponseError(0, 7, { '/responses/0': [10, null] }, {});
  for (let count = 0; count < 3; count++) outbox.put({ key: KEY, value: Buffer.alloc(1), isHint: true });
  await answer(tooLarge);
  await answer(tooLarge);
  t.same(told, [tooLarge, 'too large'], 'several together may be smaller one by one');
});

t.test('closed, it takes and sends nothing more', async (t) => {
  for (const error of [new Error('the connection was closed'), undefined]) {
    const { outbox, batches, answer, told } = open();
    outbox.put({ key: KEY, value: Buffer.alloc(1) });
    outbox.put({ key: KEY, value: Buffer.alloc(1) });
    outbox.close();
    await answer(error);
    t.same([batches.length, told.length, outbox.hasRoom(0)], [1, 0, false]);
  }
});
