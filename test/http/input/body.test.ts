import fc from 'fast-check';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { t } from 'tap';
import { BodyCollector, discardBody } from '../../../src/http/input/body.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { TestClock } from '../../support/clock.ts';

const LIMIT = 100_000;
const MEBIBYTE = 1024 * 1024;

const makeCollector = (counters = new Counters(), clock = new TestClock()): BodyCollector => new BodyCollector({ counters, clock });

t.test('a body arrives whole, in whatever pieces', async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40_000, size: 'max' }), { maxLength: 8 }), fc.boolean(), async (pieces, declared) => {
    const whole = Buffer.concat(pieces);
    fc.pre(whole.length <= LIMIT);
    const stream = new PassThrough();
    const read = makeCollector().collect(stream, declared ? whole.length : undefined, LIMIT);
    for (const piece of pieces) stream.write(piece);
    stream.end();
    const body = await read;
    t.ok(body.equals(whole));
    t.ok(pieces.length < 2 || body.buffer.byteLength === body.length, 'and holds no other memory');
  }), { numRuns: 50 });
});

t.test('a byte at a time costs no more than its bytes', async (t) => {
  const stream = new PassThrough();
  const read = makeCollector().collect(stream, undefined, MEBIBYTE);
  const before = process.memoryUsage().heapUsed;
  for (let sent = 0; sent < 400_000; sent++) if (!stream.write(Buffer.from([sent]))) await once(stream, 'drain');
  const grown = process.memoryUsage().heapUsed - before;
  stream.end();
  t.equal((await read).length, 400_000);
  t.ok(grown < 32 * MEBIBYTE, `${grown} bytes`);
});

t.test('one byte too many is too large, and the rest is read before the refusal', async (t) => {
  const exact = new PassThrough();
  exact.end(Buffer.alloc(LIMIT));
  t.equal((await makeCollector().collect(exact, LIMIT, LIMIT)).length, LIMIT);
  const stream = new PassThrough({ highWaterMark: 16 * MEBIBYTE });
  const read = makeCollector().collect(stream, undefined, LIMIT);
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
  const read = makeCollector().collect(endless, undefined, LIMIT);
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

t.test('all that arrives at once has one bound, and what is over is given back', async (t) => {
  const bodies = makeCollector();
  const streams = Array.from({ length: 9 }, () => new PassThrough({ highWaterMark: 64 * MEBIBYTE }));
  const reads = streams.map((stream) => bodies.collect(stream, undefined, 64 * MEBIBYTE));
  const outcomes = Promise.allSettled(reads);
  for (const stream of streams) {
    stream.write(Buffer.alloc(15 * MEBIBYTE));
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const stream of streams) stream.end();
  t.match((await outcomes).map((outcome) => outcome.status === 'fulfilled' ? 'read' : (outcome.reason as { code: string }).code), [...Array.from({ length: 8 }, () => 'read'), 'overloaded']);
  const next = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
  next.end(Buffer.alloc(60 * MEBIBYTE));
  t.equal((await bodies.collect(next, undefined, 64 * MEBIBYTE)).length, 60 * MEBIBYTE);
});

/** Bodies that stop before their last byte. All come from one address: behind a balancer that tells no other. */
function stopped(bodies: BodyCollector, count: number) {
  return Array.from({ length: count }, () => {
    const stream = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
    const read = bodies.collect(stream, 16 * MEBIBYTE, 16 * MEBIBYTE, ['address', {}]).then(() => 'read', ({ code }: { code: string }) => code);
    stream.write(Buffer.alloc(16 * MEBIBYTE - 1));
    return { stream, read };
  });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('bodies that stop before their last byte keep nobody else out', async (t) => {
  const counters = new Counters();
  const clock = new TestClock();
  const bodies = makeCollector(counters, clock);
  const all = stopped(bodies, 8);
  await turn();
  for (let count = 0; count < 3; count++) {
    const small = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
    const read = bodies.collect(small, undefined, 16 * MEBIBYTE, ['address', {}]);
    for (let piece = 0; piece < 7; piece++) {
      small.write(Buffer.alloc(MEBIBYTE));
      await turn();
    }
    small.end();
    t.equal((await read).length, 7 * MEBIBYTE);
  }
  t.equal(counters.evicted.bodies, 1, 'one made room for all of them');

  // One as large, while the others still come.
  all.push(...stopped(bodies, 1));
  await turn();
  const large = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
  const refused = bodies.collect(large, undefined, 64 * MEBIBYTE, ['address', {}]);
  large.end(Buffer.alloc(16 * MEBIBYTE));
  await t.rejects(refused, { code: 'overloaded' });
  clock.spend(1_000);
  const after = new PassThrough({ highWaterMark: 64 * MEBIBYTE });
  const read = bodies.collect(after, undefined, 64 * MEBIBYTE, ['address', {}]);
  after.end(Buffer.alloc(16 * MEBIBYTE));
  t.equal((await read).length, 16 * MEBIBYTE, 'and once they have stood still');

  for (const { stream } of all) stream.end('x');
  t.same((await Promise.all(all.map((one) => one.read))).filter((outcome) => outcome === 'overloaded').length, counters.evicted.bodies);
});

t.test('a sender that leaves is no failure of ours', async (t) => {
  const stream = new PassThrough();
  const read = makeCollector().collect(stream, 10, LIMIT);
  stream.write('abc');
  stream.destroy();
  await t.rejects(read, { code: 'invalid-request' });
  t.same(stream.eventNames().filter((name) => name === 'data'), []);
});
