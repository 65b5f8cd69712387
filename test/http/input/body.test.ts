import fc from 'fast-check';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { t } from 'tap';
import { collectBody, discardBody } from '../../../src/http/input/body.ts';
import { Budget, Hold } from '../../../src/runtime/sharing/budget.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { TestClock } from '../../support/clock.ts';
import { heldBytes } from '../../support/garbage.ts';

const LIMIT = 100_000;
const MEBIBYTE = 1024 * 1024;

function unbounded(): Hold {
  return new Hold(new Budget(Infinity));
}

t.test('a body arrives whole, in any pieces', async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40_000, size: 'max' }), { maxLength: 8 }), fc.boolean(), async (pieces, declared) => {
    const whole = Buffer.concat(pieces);
    fc.pre(whole.length <= LIMIT);
    const stream = new PassThrough();
    const read = collectBody(stream, { declared: declared ? whole.length : undefined, limit: LIMIT, hold: unbounded() });
    for (const piece of pieces) stream.write(piece);
    stream.end();
    const body = await read;
    t.ok(body.equals(whole));
    t.ok(pieces.length < 2 || body.buffer.byteLength === body.length, 'and holds no other memory');
  }), { numRuns: 50 });
});

t.test('a byte at a time costs no more than its bytes', async (t) => {
  const stream = new PassThrough();
  const read = collectBody(stream, { declared: undefined, limit: MEBIBYTE, hold: unbounded() });
  const before = heldBytes('heapUsed');
  for (let sent = 0; sent < 400_000; sent++) if (!stream.write(Buffer.from([sent]))) await once(stream, 'drain');
  const grown = heldBytes('heapUsed') - before;
  stream.end();
  t.equal((await read).length, 400_000);
  t.ok(grown < 8 * MEBIBYTE, `${grown} bytes`);
});

t.test('one byte too many is too large, and the rest is read before the refusal', async (t) => {
  const exact = new PassThrough();
  exact.end(Buffer.alloc(LIMIT));
  t.equal((await collectBody(exact, { declared: LIMIT, limit: LIMIT, hold: unbounded() })).length, LIMIT);
  const stream = new PassThrough({ highWaterMark: 16 * MEBIBYTE });
  const read = collectBody(stream, { declared: undefined, limit: LIMIT, hold: unbounded() });
  stream.write(Buffer.alloc(LIMIT + 1));
  let refused = false;
  const refusal = read.catch((error: unknown) => {
    refused = true;
    return error;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(refused, 'while its sender still sends');
  stream.end();
  t.match(await refusal, { code: 'too-large' });
});

t.test('much too large is refused at once', async (t) => {
  const endless = new PassThrough();
  const read = collectBody(endless, { declared: undefined, limit: LIMIT, hold: unbounded() });
  const pump = setInterval(() => endless.write(Buffer.alloc(MEBIBYTE)), 0);
  await t.rejects(read, { code: 'too-large' });
  clearInterval(pump);
});

t.test('the body of a request that is refused for its head is read to its end, as far as that is worth it', async (t) => {
  t.equal(await discardBody(new PassThrough(), 1024 * MEBIBYTE, LIMIT), false, 'not at all');
  const stream = new PassThrough();
  let isRead: boolean | undefined;
  const read = discardBody(stream, LIMIT, LIMIT).then((isWhole) => void (isRead = isWhole));
  stream.write(Buffer.alloc(LIMIT));
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(isRead, undefined, 'while its sender still sends');
  stream.end();
  await read;
  t.equal(isRead, true);
  const gone = new PassThrough();
  const left = discardBody(gone, undefined, LIMIT);
  gone.destroy();
  t.equal(await left, false);
  const endless = new PassThrough();
  const pump = setInterval(() => endless.write(Buffer.alloc(MEBIBYTE)), 0);
  t.equal(await discardBody(endless, undefined, LIMIT), false);
  clearInterval(pump);
});

t.test('all bodies that arrive at once share one bound, and finished ones give their bytes back', async (t) => {
  const budget = new Budget(128 * MEBIBYTE);
  const holds = Array.from({ length: 9 }, () => new Hold(budget));
  const streams = Array.from({ length: 9 }, () => new PassThrough({ highWaterMark: 64 * MEBIBYTE }));
  const reads = streams.map((stream, index) => collectBody(stream, { declared: undefined, limit: 64 * MEBIBYTE, hold: holds[index]! }));
  const outcomes = Promise.allSettled(reads);
  for (const stream of streams) {
    stream.write(Buffer.alloc(15 * MEBIBYTE));
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const stream of streams) stream.end();
  t.match((await outcomes).map((outcome) => outcome.status === 'fulfilled' ? 'read' : (outcome.reason as { code: string }).code), [...Array.from({ length: 8 }, () => 'read'), 'overloaded']);
  t.equal(budget.heldBytes, 8 * 15 * MEBIBYTE, 'what was read is held until its hold is released');
  for (const hold of holds) hold.release();
  t.equal(budget.heldBytes, 0);
  const next = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
  next.end(Buffer.alloc(60 * MEBIBYTE));
  t.equal((await collectBody(next, { declared: undefined, limit: 64 * MEBIBYTE, hold: new Hold(budget) })).length, 60 * MEBIBYTE);
});

/** Bodies that stop before their last byte. All come from one address: behind a balancer that tells no other. */
function stopped(budget: Budget, count: number) {
  return Array.from({ length: count }, () => {
    const stream = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
    const read = collectBody(stream, { declared: 16 * MEBIBYTE, limit: 16 * MEBIBYTE, hold: new Hold(budget, ['address', {}]) }).then(() => 'read', ({ code }: { code: string }) => code);
    stream.write(Buffer.alloc(16 * MEBIBYTE - 1));
    return { stream, read };
  });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('bodies that stop before their last byte keep nobody else out', async (t) => {
  const counters = new Counters();
  const clock = new TestClock();
  const budget = new Budget(128 * MEBIBYTE, { gate: 'bodies', counters, clock });
  const all = stopped(budget, 8);
  await turn();
  for (let count = 0; count < 3; count++) {
    const small = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
    const hold = new Hold(budget, ['address', {}]);
    const read = collectBody(small, { declared: undefined, limit: 16 * MEBIBYTE, hold });
    for (let piece = 0; piece < 7; piece++) {
      small.write(Buffer.alloc(MEBIBYTE));
      await turn();
    }
    small.end();
    t.equal((await read).length, 7 * MEBIBYTE);
    hold.release();
  }
  t.equal(counters.evicted.bodies, 1, 'one made room for all of them');

  // One as large, while the others still come.
  all.push(...stopped(budget, 1));
  await turn();
  const large = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
  const refused = collectBody(large, { declared: undefined, limit: 64 * MEBIBYTE, hold: new Hold(budget, ['address', {}]) });
  large.end(Buffer.alloc(16 * MEBIBYTE));
  await t.rejects(refused, { code: 'overloaded' });
  clock.spend(1_000);
  const after = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
  const hold = new Hold(budget, ['address', {}]);
  const read = collectBody(after, { declared: undefined, limit: 64 * MEBIBYTE, hold });
  after.end(Buffer.alloc(16 * MEBIBYTE));
  t.equal((await read).length, 16 * MEBIBYTE, 'and once they have stood still');

  // One that is whole is on its way to the store: it is not taken back, however much its sender holds.
  const newcomer = new Hold(budget, ['other address', {}]);
  t.notOk(newcomer.grow(128 * MEBIBYTE));
  t.ok(newcomer.grow(100 * MEBIBYTE - 64 * MEBIBYTE));
  t.equal(hold.bytes, 16 * MEBIBYTE);

  for (const { stream } of all) stream.end('x');
  t.same((await Promise.all(all.map((one) => one.read))).filter((outcome) => outcome === 'overloaded').length, counters.evicted.bodies);
});

t.test('a sender that leaves is no failure of ours', async (t) => {
  const stream = new PassThrough();
  const read = collectBody(stream, { declared: 10, limit: LIMIT, hold: unbounded() });
  stream.write('abc');
  stream.destroy();
  await t.rejects(read, { code: 'invalid-request' });
  t.same(stream.eventNames().filter((name) => name === 'data'), []);
});
