import { t } from 'tap';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { settle } from '../support/clock.ts';
import { Random } from '../support/fleet-random.ts';
import { rounds } from '../support/rounds.ts';
import { begin, numbers, type TestOutlet } from '../support/spine.ts';

/** A stream goes on with another filter: what it gets before and after that place, wherever it stands. */

type Spine = Awaited<ReturnType<typeof begin>>;

/** What a stream wants after a number of the log. */
interface Wish {
  readonly after: number;
  readonly names: readonly string[];
}

/** A stream, and what it has wanted at which place. */
class Wishing {
  readonly outlet: TestOutlet;
  readonly reader: Reader;
  readonly #spine: Spine;
  readonly #wishes: Wish[];

  constructor(spine: Spine, names: string[], after = spine.tail.last) {
    this.#spine = spine;
    this.#wishes = [{ after, names }];
    ({ outlet: this.outlet, reader: this.reader } = spine.open(names, spine.at(after)));
  }

  change(names: string[]): number {
    const { seq } = this.#spine.streams.changeFilter(this.reader, new Filter(names));
    this.#wishes.push({ after: seq, names });
    return seq;
  }

  stick(): void {
    this.outlet.isStuck = true;
  }

  drain(): void {
    this.outlet.isStuck = false;
    this.#spine.drain(this.outlet, this.reader);
  }

  /** The numbers that it has to have been written. */
  get expected(): number[] {
    const [{ after: start }] = this.#wishes as [Wish];
    return this.#spine.store.messages.filter(({ seq, topic }) => seq > start && this.#wishes.findLast(({ after }) => after < seq)!.names.includes(topic)).map(({ seq }) => seq);
  }
}

const oneTurn = (): Promise<void> => new Promise((done) => void setImmediate(done));

t.test('a live stream has the filter before up to its place, and the new one after it, and is told so there', async (t) => {
  const spine = await begin(t);
  const stream = new Wishing(spine, ['a', 'b']);
  await settle();
  for (const topic of ['a', 'b', 'c']) spine.publish(topic);
  await settle();
  t.equal(stream.change(['b', 'c']), 3);
  for (const topic of ['a', 'b', 'c']) spine.publish(topic);
  await settle();
  t.same(stream.outlet.seen.map((line) => line.replace(/=x$|[a-z0-9]+-(?=\d+$)/g, '')), ['$open 0', '1', '2', '$topics 3', '5', '6']);
  t.ok(stream.reader.isLive);
  t.same([...spine.audience.groups].map(({ filter }) => filter.key), ['b c'], 'the group before is left');
});

t.test('messages pending when a stream changes come by the new filter', async (t) => {
  const spine = await begin(t);
  const [stream, other] = [new Wishing(spine, ['a', 'b']), new Wishing(spine, ['a', 'b'])];
  await settle();
  for (const topic of ['a', 'b', 'c']) spine.publish(topic);
  t.equal(stream.change(['b', 'c']), 0, 'nothing of this turn was written yet');
  await settle();
  t.same(numbers(stream.outlet), [2, 3]);
  t.same(numbers(other.outlet), [1, 2], 'another one of the group before gets what was pending');
});

t.test('in the middle of a sweep, a stream that was reached and one that was not change where each of them stands', async (t) => {
  const spine = await begin(t);
  const streams = Array.from({ length: 200 }, () => new Wishing(spine, ['a', 'b']));
  await settle();
  spine.hooks.written = () => spine.clock.spend(0.1);
  for (const topic of ['a', 'c', 'b', 'c']) spine.publish(topic);
  while (numbers(streams[0]!.outlet).length === 0) {
    spine.clock.runDue();
    await oneTurn();
  }
  spine.hooks.written = () => undefined;
  t.ok(streams[0]!.reader.group.isWaiting, 'the sweep was taken in parts');
  spine.publish('c');
  t.equal(streams[0]!.change(['b', 'c']), 4);
  t.equal(streams.at(-1)!.change(['b', 'c']), 0);
  await settle();
  for (const stream of [streams[0]!, streams[100]!, streams.at(-1)!]) t.same(numbers(stream.outlet), stream.expected);
});

for (const [where, tailBytes] of [['the tail', 10_000_000], ['the log', 5_000]] as const) {
  t.test(`a stream that reads ${where} changes at every place of its catch-up`, async (t) => {
    const spine = await begin(t, { messages: 300, tailBytes });
    const streams = Array.from({ length: 300 }, (_, after) => new Wishing(spine, ['even'], after));
    for (const [index, stream] of streams.entries()) {
      // Some change before their first read, some while it is under way, some later, and some again.
      if (index % 3 === 0) await oneTurn();
      stream.change(index % 2 === 0 ? ['odd'] : ['even', 'odd']);
      if (index % 5 === 0) stream.change(['odd', 'more']);
    }
    for (const topic of ['even', 'odd', 'more']) spine.publish(topic);
    for (let turn = 0; turn < 5; turn++) await settle();
    t.same(streams.map(({ outlet }) => numbers(outlet)), streams.map(({ expected }) => expected));
    t.ok(streams.every(({ reader }) => reader.isLive));
  });
}

t.test('a stream with a full socket changes where its last write ended, and is told so once the socket has drained', async (t) => {
  const spine = await begin(t);
  const stream = new Wishing(spine, ['a']);
  await settle();
  stream.stick();
  spine.publish('a');
  await settle();
  spine.publish('a');
  spine.publish('b');
  await settle();
  const { writes } = stream.outlet;
  t.equal(stream.change(['b']), 1);
  t.equal(stream.change(['b', 'c']), 1);
  spine.publish('a');
  spine.publish('c');
  await settle();
  t.equal(stream.outlet.writes, writes, 'nothing is written to it meanwhile');
  stream.drain();
  await settle();
  t.same(numbers(stream.outlet), [1, 3, 5]);
  t.equal(stream.outlet.seen.filter((line) => line.startsWith('$topics')).length, 1);
  t.ok(stream.reader.isLive);

  stream.stick();
  spine.publish('b');
  await settle();
  t.equal(stream.change(['d']), 6);
  spine.publish('c');
  await settle();
  stream.drain();
  await settle();
  t.match(stream.outlet.seen.at(-1), /^\$topics .*-6$/, 'also where nothing comes that it wants');
});

t.test('a message that lies in a full socket and is erased ends the stream, though it has left the topic', async (t) => {
  const spine = await begin(t);
  const [stream, drained] = [new Wishing(spine, ['a']), new Wishing(spine, ['a'])];
  await settle();
  for (const one of [stream, drained]) one.stick();
  spine.publish('a');
  await settle();
  for (const one of [stream, drained]) one.change(['b']);
  drained.drain();
  await settle();
  await spine.eraser.message({ ...FULL_GRANT, mayErase: () => true }, spine.at(1), { name: 'x', client: 'x' });
  await settle();
  t.equal(stream.outlet.ended, 'now', 'its client comes back for the tombstone');
  t.equal(drained.outlet.ended, undefined, 'what has left cannot be taken back');
});

t.test('so it does where the socket became full as the client was told of the change', async (t) => {
  const spine = await begin(t);
  const stream = new Wishing(spine, ['a']);
  await settle();
  spine.publish('a');
  await settle();
  stream.stick();
  stream.change(['b']);
  await spine.eraser.message({ ...FULL_GRANT, mayErase: () => true }, spine.at(1), { name: 'x', client: 'x' });
  await settle();
  t.equal(stream.outlet.ended, 'now', 'what was written before may lie in it');
});

const SEEDS = rounds(40, 2_000, 15);

t.test('in any order of publishing, sending, blocking and changing, each stream gets the messages of its filter at each place', async (t) => {
  const TOPICS = ['a', 'b', 'c', 'd'] as const;
  const wrong: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const spine = await begin(t, { tailBytes: random.below(2) === 0 ? 2_000 : 10_000_000 });
    const some = (): string[] => {
      const names = TOPICS.filter(() => random.below(2) === 0);
      return names.length === 0 ? ['a'] : names;
    };
    const streams: Wishing[] = [];
    const pick = (): Wishing | undefined => streams[random.below(Math.max(1, streams.length))];
    spine.hooks.written = () => spine.clock.spend(0.2);
    for (let step = 0; step < 150; step++) {
      switch (random.below(9)) {
        case 0: case 1: for (let count = random.below(6); count >= 0; count--) spine.publish(TOPICS[random.below(TOPICS.length)]!, 'x'.repeat(random.below(20) === 0 ? 70_000 : 1)); break;
        case 2: for (let count = random.below(step === 0 ? 90 : 4); count >= 0; count--) streams.push(new Wishing(spine, some(), random.below(spine.tail.last + 1))); break;
        case 3: case 4: case 5: pick()?.change(some()); break;
        case 6: await oneTurn(); spine.clock.runDue(); break;
        case 7: pick()?.stick(); break;
        case 8: if (random.below(2) === 0) pick()?.drain(); else await spine.clock.advance(random.below(300)); break;
      }
    }
    spine.hooks.written = () => undefined;
    for (const stream of streams) stream.drain();
    for (const topic of TOPICS) spine.publish(topic);
    for (let turn = 0; turn < 6; turn++) {
      await spine.clock.advance(1_000);
      await settle();
    }
    const failed = streams.find(({ outlet, expected }) => outlet.ended === undefined && numbers(outlet).join() !== expected.join());
    if (failed !== undefined) wrong.push(`seed ${seed}: ${numbers(failed.outlet).join()} instead of ${failed.expected.join()}`);
  }
  t.same(wrong, []);
});
