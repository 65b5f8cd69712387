import { t } from 'tap';
import { UnreadWrites, type Unread } from '../../src/delivery/reader/unread-writes.ts';
import { settle } from '../support/clock.ts';
import { begin as beginSpine, numbers } from '../support/spine.ts';

const KIB = 1024;

class Stream implements Unread {
  unsent = 0;
  hasGivenWay = false;
  readonly #unread: UnreadWrites<Stream>;

  constructor(unread: UnreadWrites<Stream>) {
    this.#unread = unread;
  }

  write(bytes: Buffer): void {
    this.unsent += bytes.length;
    this.#unread.add(this, bytes);
  }

  giveWay(): void {
    this.hasGivenWay = true;
    this.#unread.delete(this);
  }
}

function begin(maxBytes: number): { unread: UnreadWrites<Stream>; stream: () => Stream } {
  const unread = new UnreadWrites<Stream>({ maxBytes });
  return { unread, stream: () => new Stream(unread) };
}

t.test('a write that many streams share counts once', async (t) => {
  const { unread, stream } = begin(4096 * KIB);
  const write = Buffer.allocUnsafeSlow(1024 * KIB);
  const streams = Array.from({ length: 1000 }, stream);
  for (const one of streams) one.write(write);
  t.ok(unread.bytes >= 1024 * KIB && unread.bytes < 1400 * KIB, `${unread.bytes} bytes`);
  t.notOk(streams.some(({ hasGivenWay }) => hasGivenWay));
  for (const one of streams) unread.delete(one);
  t.equal(unread.bytes, 0);
});

t.test('past the bound, the stream that has held something for longest gives way, and the others stay', async (t) => {
  const { unread, stream } = begin(10 * KIB);
  const streams = Array.from({ length: 4 }, stream);
  for (const one of streams.slice(0, 3)) one.write(Buffer.allocUnsafeSlow(3 * KIB));
  // It holds more now, and still holds it for longest.
  streams[0]!.write(Buffer.allocUnsafeSlow(100));
  streams[3]!.write(Buffer.allocUnsafeSlow(3 * KIB));
  t.same(streams.map(({ hasGivenWay }) => hasGivenWay), [true, false, false, false]);
  t.ok(unread.bytes <= 10 * KIB);
  const large = stream();
  large.write(Buffer.allocUnsafeSlow(20 * KIB));
  t.ok(large.hasGivenWay, 'also one that is larger than the bound');
  t.equal(unread.bytes, 0);
});

t.test('what has left does not count, and a stream whose socket is empty does not give way', async (t) => {
  const { unread, stream } = begin(10 * KIB);
  const slow = stream();
  // It never takes everything, and always something.
  for (let count = 0; count < 1000; count++) {
    slow.write(Buffer.allocUnsafeSlow(KIB));
    slow.unsent = KIB;
  }
  t.ok(unread.bytes < 5 * KIB, `${unread.bytes} bytes`);
  slow.unsent = 0;
  const next = stream();
  next.write(Buffer.allocUnsafeSlow(9 * KIB));
  t.same([slow.hasGivenWay, next.hasGivenWay], [false, false]);
  t.ok(unread.bytes < 10 * KIB);
});

t.test('unread streams are closed for later ones, counted, and lose nothing', async (t) => {
  const { open, publish, streams, counters, drain } = await beginSpine(t, { unreadBytes: 64 * KIB });
  const readers = Array.from({ length: 4 }, (_, index) => open([`a${index}`, `b${index}`]));
  await settle();
  for (const [index, { outlet }] of readers.entries()) {
    outlet.isStuck = true;
    publish(`a${index}`, 'x'.repeat(24 * KIB));
    await settle();
    publish(`b${index}`, 'x'.repeat(24 * KIB));
    await settle();
  }
  t.same(readers.map(({ outlet }) => outlet.ended), ['now', 'now', undefined, undefined], 'two writes fit');
  t.equal(counters.cut.unread, 2);
  t.ok(streams.unreadBytes <= 64 * KIB);
  for (const { outlet, reader } of readers.slice(2)) {
    outlet.isStuck = false;
    drain(outlet, reader);
  }
  await settle();
  t.equal(streams.unreadBytes, 0);
  t.same(readers.slice(2).map(({ outlet }) => numbers(outlet)), [[5, 6], [7, 8]]);
});
