import { t } from 'tap';
import { FULL_GRANT, type Grant } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { UNNAMED } from '../../src/runtime/sharing/fair-shares.ts';
import { settle } from '../support/clock.ts';
import { begin, numbers, TestOutlet } from '../support/spine.ts';
import { until } from '../support/until.ts';

t.test('all messages of one turn go to a socket in one write', async (t) => {
  const { open, publish, counters } = await begin(t);
  const readers = [open(['a']), open(['a']), open(['*'])];
  await settle();
  const before = readers.map(({ outlet }) => outlet.writes);
  for (const data of ['1', '2', '3']) publish('a', data);
  await settle();
  for (const [index, { outlet }] of readers.entries()) {
    t.equal(outlet.writes, before[index]! + 1);
    t.same(outlet.seen.slice(1), ['1=1', '2=2', '3=3']);
  }
  t.equal(counters.delivered, 9);
});

t.test('a reader whose names overlap gets each message once', async (t) => {
  const { open, publish } = await begin(t);
  const { outlet } = open(['a.b', 'a.*', '>', '*.b']);
  await settle();
  publish('a.b');
  publish('c');
  await settle();
  t.same(numbers(outlet), [1, 2]);
});

t.test('replay from the tail becomes live without a seam, with messages published meanwhile', async (t) => {
  const { open, publish, at } = await begin(t, { messages: 1000 });
  const readers = [0, 1, 499, 999, 1000].map((seq) => ({ seq, ...open(['even'], at(seq)) }));
  for (let count = 0; count < 50; count++) {
    publish(count % 2 === 0 ? 'even' : 'odd');
    if (count % 7 === 0) await new Promise((done) => setImmediate(done));
  }
  await settle();
  const all = Array.from({ length: 1050 }, (_, index) => index + 1).filter((seq) => seq % 2 === 1);
  for (const { seq, outlet, reader } of readers) {
    t.same(numbers(outlet), all.filter((number) => number > seq), `from ${seq}`);
    t.ok(reader.isLive);
  }
});

t.test('what the tail no longer has is read from the log, once for all who stand near each other', async (t) => {
  const { open, publish, at, counters } = await begin(t, { messages: 4000, tailBytes: 100_000 });
  const readers = Array.from({ length: 300 }, (_, index) => ({ seq: index * 7, ...open(['>'], at(index * 7)) }));
  for (let count = 0; count < 20; count++) publish('even');
  for (let turn = 0; turn < 10; turn++) await settle();
  for (const { seq, outlet, reader } of readers) {
    t.same(numbers(outlet), Array.from({ length: 4020 - seq }, (_, index) => seq + index + 1), `from ${seq}`);
    t.ok(reader.isLive);
  }
  t.ok(counters.reads < 50, `${counters.reads} reads served ${counters.readsServed} steps of 300 readers`);
});

t.test('a reader whose socket is full is written nothing, and reads on when it drains', async (t) => {
  const { open, publish, drain, tail, counters } = await begin(t);
  const { outlet, reader } = open(['a']);
  const other = open(['a']);
  await settle();
  outlet.isStuck = true;
  publish('a');
  await settle();
  const { writes } = outlet;
  for (let count = 0; count < 1000; count++) publish('a');
  await settle();
  t.equal(outlet.writes, writes);
  t.notOk(reader.isLive);
  t.equal(counters.fellBehind, 1);
  t.equal(numbers(other.outlet).length, 1001, 'the other one is not held up');
  outlet.isStuck = false;
  drain(outlet, reader);
  await settle();
  t.same(numbers(outlet), Array.from({ length: tail.last }, (_, index) => index + 1));
  t.ok(reader.isLive);
});

t.test('what one turn brings is written in pieces, so that a socket which turns out to be full holds little', async (t) => {
  const { open, publish, drain } = await begin(t);
  const [fast, slow] = [open(['a', 'b']), open(['a', 'c'])];
  await settle();
  slow.outlet.isStuck = true;
  for (let count = 0; count < 1000; count++) publish('a', 'x'.repeat(2_000));
  await settle();
  t.ok(fast.outlet.largest < 200_000, `${fast.outlet.largest}`);
  t.ok(slow.outlet.writableLength < 200_000, `${slow.outlet.writableLength}`);
  t.equal(numbers(fast.outlet).length, 1000);
  slow.outlet.isStuck = false;
  drain(slow.outlet, slow.reader);
  await settle();
  t.same(numbers(slow.outlet), numbers(fast.outlet));
});

t.test('a socket that does not drain is closed', async (t) => {
  const { open, publish, clock, counters, streams } = await begin(t);
  const { outlet, reader } = open(['a']);
  await settle();
  outlet.isStuck = true;
  publish('a');
  await clock.advance(29_000);
  t.equal(outlet.ended, undefined);
  await clock.advance(2_000);
  t.equal(outlet.ended, 'now');
  t.equal(counters.stalled, 1);
  streams.closed(reader);
  t.equal(streams.size, 0);
});

t.test('a quiet stream gets a sign of life, and its cursor when the log has moved on', async (t) => {
  const { open, publish, clock, at } = await begin(t, { messages: 3 });
  const { outlet } = open(['quiet']);
  const id = (seq: number): string => `${at(seq).epoch}-${seq}`;
  await clock.advance(10_000);
  await clock.advance(10_000);
  publish('even');
  await clock.advance(10_000);
  publish('quiet');
  await clock.advance(10_000);
  t.same(outlet.seen, [`$open ${id(3)}`, ':', `$cursor ${id(3)}`, `$cursor ${id(4)}`, '5=x', `$cursor ${id(5)}`]);
});

t.test('heartbeats are spread, also when all streams were opened at once', async (t) => {
  const { open, clock } = await begin(t);
  const all = Array.from({ length: 100 }, () => open(['quiet']).outlet);
  const counts: number[] = [];
  for (let tick = 0; tick < 100; tick++) {
    const before = all.reduce((sum, { writes }) => sum + writes, 0);
    await clock.advance(100);
    counts.push(all.reduce((sum, { writes }) => sum + writes, 0) - before);
  }
  t.ok(Math.max(...counts) <= 2, `${Math.max(...counts)}`);
});

t.test('a message whose TTL has passed is not begun, neither live nor from behind', async (t) => {
  const { open, publish, clock, store, drain, at } = await begin(t);
  const { outlet, reader } = open(['a']);
  await settle();
  outlet.isStuck = true;
  publish('a', 'first');
  await settle();
  publish('a', 'short', 1);
  publish('a', 'long', 100);
  store.now += 2_000;
  await clock.advance(2_000);
  outlet.isStuck = false;
  drain(outlet, reader);
  await settle();
  t.same(outlet.seen.slice(1).filter((line) => line !== ':'), ['1=first', '3=long']);
  const late = open(['a'], at(0));
  await settle();
  t.same(numbers(late.outlet), [1, 3]);
  const message = store.commit({ topic: 'a', ttl: 1 });
  store.now += 2_000;
  await clock.advance(2_000);
  publish('a', 'next');
  t.equal(message.seq, 4);
  await clock.advance(100);
  t.same(numbers(outlet), [1, 3, 5], 'a live reader, when the message itself was late');
});

t.test('a log that went back to an older copy is told to everyone who had read beyond it', async (t) => {
  const { open, publish, clock, store, at } = await begin(t, { messages: 4 });
  const { outlet } = open(['>'], at(2));
  await settle();
  t.same(numbers(outlet), [3, 4]);
  await store.restore(3);
  await clock.advance(1_000);
  publish('even', 'new');
  await settle();
  t.match(outlet.seen.slice(-2), [`$gap ${at(3).epoch}-3`, '4=new']);
});

t.test('also to a reader ahead of a tail that never had the lost messages', async (t) => {
  const { store, open, clock, at } = await begin(t, { messages: 3 });
  store.commit();
  store.commit();
  const { outlet, reader } = open(['>'], at(5));
  await settle();
  t.ok(reader.isLive);
  await store.restore(3);
  for (const topic of ['a', 'b', 'c']) store.commit({ topic });
  await clock.advance(2_000);
  t.same(outlet.seen.slice(1).filter((line) => line !== ':'), [`$gap ${at(3).epoch}-3`, '4=x', '5=x', '6=x']);
});

t.test('a slow reader that retention overtakes is told in the middle of its stream', async (t) => {
  const { open, publish, drain, store, clock, at } = await begin(t, { tailBytes: 2_000 });
  const { outlet, reader } = open(['>']);
  await settle();
  outlet.isStuck = true;
  publish('a');
  await settle();
  for (let count = 0; count < 100; count++) publish('a');
  await store.trim({ maxAge: 0, maxBytes: 20, rows: 1000 });
  await clock.advance(1_000);
  outlet.isStuck = false;
  drain(outlet, reader);
  await settle();
  t.match(outlet.seen.filter((line) => line !== ':').slice(0, 4), [/^\$open/, '1=x', `$gap ${at(81).epoch}-81`, '82=x']);
  t.same(numbers(outlet), [1, ...Array.from({ length: 20 }, (_, index) => 82 + index)]);
});

t.test('while the log cannot be read, streams that are behind stay open and wait', async (t) => {
  const { open, store, clock, at } = await begin(t, { messages: 500, tailBytes: 2_000 });
  store.failure = 'unavailable';
  const { outlet } = open(['>'], at(10));
  await clock.advance(3_000);
  t.same(numbers(outlet), []);
  t.equal(outlet.ended, undefined);
  store.failure = undefined;
  await clock.advance(3_000);
  t.equal(numbers(outlet).length, 490);
});

t.test('that is said once for each time, however many streams wait', async (t) => {
  const { open, store, clock, at, warnings } = await begin(t, { messages: 500, tailBytes: 2_000 });
  for (const _time of [1, 2]) {
    warnings.length = 0;
    store.failure = 'unavailable';
    const streams = ['even', 'odd', '*', '>', 'even.*'].map((name) => open([name], at(10)).reader);
    await clock.advance(5_000);
    t.equal(warnings.length, 1, warnings.join('; '));
    store.failure = undefined;
    await clock.advance(5_000);
    t.ok(streams.every(({ isLive }) => isLive));
  }
});

t.test('a drain closes streams evenly over the window, each with its own time to return', async (t) => {
  const { open, clock, streams } = await begin(t);
  const all = Array.from({ length: 90 }, () => open(['a']));
  await settle();
  const done = streams.drain(10_000);
  t.notOk(streams.hasRoomFor(() => UNNAMED), 'nobody is let in');
  const closed: number[] = [];
  for (let second = 0; second < 10; second++) {
    await clock.advance(1_000);
    closed.push(all.filter(({ outlet }) => outlet.ended === 'soon').length);
  }
  t.same(closed.slice(0, 9).map((count, index) => Math.abs(count - (index + 1) * 10) <= 2), Array.from({ length: 9 }, () => true), closed.join(' '));
  t.equal(closed[9], 90);
  for (const { reader, outlet } of all) {
    t.match(outlet.seen.at(-1), '$busy');
    streams.closed(reader);
  }
  await done;
});

t.test('a connection stays open for a moment after $busy, so that a browser has read it before the end', async (t) => {
  const { open, streams, clock } = await begin(t);
  const refused = new TestOutlet();
  streams.refuse({ form: 'data', control: true, chunked: true, lastChunk: false }, refused, 'full');
  const { outlet: dismissed } = open(['a']);
  void streams.drain(0);
  for (const outlet of [refused, dismissed]) {
    t.match(outlet.seen.at(-1), '$busy');
    t.equal(outlet.ended, undefined);
  }
  await clock.advance(100);
  for (const outlet of [refused, dismissed]) t.equal(outlet.ended, undefined, 'a tick may come at once');
  await clock.advance(100);
  for (const outlet of [refused, dismissed]) t.equal(outlet.ended, 'soon');
});

t.test('an ended reader waits for no sweep, and makes nobody wait: pending messages are not written to it', async (t) => {
  const { open, publish, streams } = await begin(t);
  const [ended, stays] = [open(['a']), open(['a'])];
  await settle();
  publish('a');
  const { writes } = stays.outlet;
  streams.end(ended.reader, 'credential');
  t.equal(stays.outlet.writes, writes, 'others are written to when it is their turn');
  await settle();
  publish('a');
  await settle();
  t.match(ended.outlet.seen, [/^\$open/, /^\$busy/]);
  t.equal(ended.outlet.seen.length, 2);
  t.same(numbers(stays.outlet), [1, 2]);
});

t.test('a full socket is given one warning of the end of its credential, however many come, and another when it has room', async (t) => {
  const { open, publish, drain } = await begin(t);
  const { outlet, reader } = open(['a']);
  await settle();
  for (let times = 0; times < 2; times++) reader.warn(60);
  outlet.isStuck = true;
  publish('a');
  await settle();
  for (let times = 0; times < 10; times++) reader.warn(60);
  outlet.isStuck = false;
  drain(outlet, reader);
  await settle();
  for (let times = 0; times < 2; times++) reader.warn(60);
  t.same(outlet.seen.slice(1), ['$expiring', '$expiring', '1=x', '$expiring', '$expiring', '$expiring']);
});

/** Keeps the bytes of each write. */
class RecordingOutlet extends TestOutlet {
  readonly written: string[] = [];

  override write(bytes: Uint8Array): boolean {
    this.written.push(Buffer.from(bytes).toString());
    return super.write(bytes);
  }
}

t.test('a client that is sent away gets the last chunk after all that was written before, and nothing more, if its stream ends with one', async (t) => {
  const { streams, publish, clock, at } = await begin(t);
  const options = { form: 'data', control: true, chunked: true } as const;
  const [refused, reading, stuck, other] = Array.from({ length: 4 }, () => new RecordingOutlet());
  streams.refuse({ ...options, lastChunk: true }, refused!, 'full');
  stuck!.isStuck = true;
  for (const [outlet, lastChunk] of [[reading, true], [stuck, true], [other, false]] as const) {
    streams.open(FULL_GRANT, new Filter(['a']), { ...options, lastChunk }, outlet!, { at: at(0), gap: undefined });
  }
  await settle();
  publish('a');
  // Still in the queue of the fan-out.
  void streams.drain(0);
  t.match(reading!.seen, [/^\$open/, '1=x', '$busy']);
  publish('a');
  await clock.advance(300);
  for (const outlet of [refused!, reading!, stuck!]) {
    t.match(outlet.written.at(-1), /^[0-9a-f]+\r\nevent: \$busy\nretry: [0-9]+\n[^]*\n\n\r\n0\r\n\r\n$/);
    t.equal(outlet.ended, 'soon');
  }
  t.match(other!.written.at(-1), /\$busy[^]*\n\n\r\n$/, 'others get none');
});

t.test('a reader that was sent away is written nothing more, though it was behind', async (t) => {
  // Once from the tail, once from the log.
  for (const tailBytes of [10_000_000, 2_000]) {
    const { open, publish, at } = await begin(t, { messages: 1000, tailBytes });
    const { outlet, reader } = open(['>'], at(0));
    reader.dismiss(1, 'age');
    await settle();
    publish('even');
    await settle();
    t.match(outlet.seen, [/^\$open/, '$busy']);
    t.equal(outlet.seen.length, 2);
    t.notOk(reader.isLive);
  }
});

t.test('when the last stream is gone nothing is left in the index', async (t) => {
  const { open, publish, audience, streams } = await begin(t, { messages: 10 });
  const all = Array.from({ length: 50 }, (_, index) => open([`topic${index}`, 'a.*', `p${index}.>`]));
  publish('a.b');
  await settle();
  for (const { reader } of all) streams.closed(reader);
  t.equal(audience.size, 0);
  t.equal(streams.size, 0);
  publish('a.b');
  await settle();
});

t.test('an id of an epoch that another process began a moment ago is no gap', async (t) => {
  const { store, ask } = await begin(t, { messages: 3 });
  await store.open();
  const elsewhere = store.commit({ topic: 'even' });
  for (const request of [{ kind: 'after', position: elsewhere }, { kind: 'since', time: store.now + 1 }, { kind: 'ago', milliseconds: -1 }] as const) {
    const { outlet } = await ask(['>'], request);
    await settle();
    t.same(outlet.seen, [`$open ${elsewhere.id}`], request.kind);
  }
});

t.test('nor is the place that a slow reader reached in the log, in such an epoch', async (t) => {
  const { store, ask, drain } = await begin(t, { messages: 3, tailBytes: 1 });
  const { outlet, reader } = await ask(['>'], { kind: 'start' });
  outlet.isStuck = true;
  // Before the reader's first read of the log, in the same turn.
  const opened = store.open();
  const elsewhere = store.commit({ topic: 'even' });
  await opened;
  await settle();
  t.equal(reader.position().epoch, elsewhere.epoch);
  t.equal(reader.state, 'blocked');
  outlet.isStuck = false;
  drain(outlet, reader);
  await settle();
  t.ok(reader.isLive);
  t.same(outlet.seen.slice(1), ['1=x', '2=x', '3=x', '4=x']);
});

t.test('readers that stand all over a long tail get the rest of it, each message once, while more is published', async (t) => {
  const { open, publish, tail, at } = await begin(t, { messages: 6_000 });
  const places = Array.from({ length: 60 }, (_, index) => 1 + index * 100);
  const readers = places.map((seq) => ({ seq, ...open([seq % 200 === 1 ? 'even' : '>'], at(seq)) }));
  for (let count = 0; count < 20; count++) {
    publish(count % 2 === 0 ? 'even' : 'odd');
    await new Promise((done) => setImmediate(done));
  }
  await settle();
  for (const { seq, outlet, reader } of readers) {
    const wanted = Array.from({ length: tail.last - seq }, (_, index) => seq + 1 + index).filter((number) => seq % 200 !== 1 || number % 2 === 1);
    t.same(numbers(outlet), wanted, `from ${seq}`);
    t.ok(reader.isLive);
  }
});

t.test('streams with a pattern each that come back together share the walks through the tail', async (t) => {
  const { open, publish, tail, at } = await begin(t);
  const streams = 500;
  for (let count = 0; count < 6_000; count++) publish(`user${count % (2 * streams)}.news`);
  let looked = 0;
  const after = tail.after.bind(tail);
  tail.after = (seq, wanted, limit) => after(seq, (topic) => (looked++, wanted(topic)), limit);
  const opened = Array.from({ length: streams }, (_, user) => ({ user, ...open([`user${user}.>`, `nobody.*.${user}`], at(user)) }));
  await until('all are live', () => opened.every(({ reader }) => reader.isLive));
  for (const { user, outlet } of opened) t.same(numbers(outlet), [0, 1, 2, 3, 4, 5].map((round) => round * 2 * streams + user + 1), `user ${user}`);
  // One by one it would be three million.
  t.ok(looked < 200_000, `${looked} looks at messages`);
});

t.test('streams that want much, and differently much, share them too', async (t) => {
  const { open, publish, tail, at } = await begin(t);
  for (let count = 0; count < 6_000; count++) publish(`topic${count % 10}.x`);
  const opened = Array.from({ length: 200 }, (_, index) => ({ index, ...open([index % 3 === 0 ? '>' : `topic${index % 10}.*`, `mine.${index}`], at(index * 29)) }));
  await until('all are live', () => opened.every(({ reader }) => reader.isLive));
  for (const { index, outlet } of opened) {
    const wanted = Array.from({ length: tail.last }, (_, number) => number + 1).filter((seq) => seq > index * 29 && (index % 3 === 0 || (seq - 1) % 10 === index % 10));
    t.same(numbers(outlet), wanted, `stream ${index}`);
  }
});

t.test('a stream that comes back is served though others are left behind near the end of the tail, again and again', async (t) => {
  const { open, publish, tail, at, catchup, clock, hooks } = await begin(t);
  for (let count = 0; count < 1_000; count++) publish('quiet');
  const hot = Array.from({ length: 200 }, () => open(['hot']));
  await until('all are live', () => hot.every(({ reader }) => reader.isLive));
  // To serve all of them takes longer than a turn of catch-up.
  hooks.written = () => clock.spend(0.1);
  /** More comes than sweeps take. */
  const turn = async (): Promise<void> => {
    const left = hot.filter(({ reader }) => reader.isLive);
    for (const { reader } of left) reader.leaveBehind(tail.position);
    publish('hot');
    for (const { reader } of left) catchup.resume(reader);
    await new Promise((done) => setImmediate(done));
  };
  for (let turns = 0; turns < 10; turns++) await turn();
  const { outlet } = open(['quiet'], at(100));
  let turns = 0;
  for (; numbers(outlet).length === 0 && turns < 200; turns++) await turn();
  t.ok(turns <= 10, `${turns} turns`);
  for (const { outlet: { seen } } of hot) t.ok(seen.length > 1 + turns / 10);
});

t.test('a stream that was sent away does not count as behind', async (t) => {
  const { open, streams, publish } = await begin(t);
  const { outlet } = open(['>']);
  await settle();
  outlet.isStuck = true;
  publish('a');
  await settle();
  t.equal(streams.behind.readers, 1);
  void streams.drain(0);
  t.same(streams.behind, { readers: 0, furthest: 0 });
});

t.test('a reader whose filter the grant leaves out does not begin', async (t) => {
  const { streams, at, counters } = await begin(t);
  const narrow: Grant = { mayPublish: () => true, mayRead: (pattern) => pattern === 'a', mayErase: () => false, maySeePresence: () => false };
  const outlet = new TestOutlet();
  for (const names of [['b'], ['a', 'b'], ['>']]) {
    t.throws(() => streams.open(narrow, new Filter(names), { form: 'data', control: true, chunked: true, lastChunk: false }, outlet, { at: at(0), gap: undefined }), { code: 'forbidden' });
  }
  t.same([streams.size, counters.opened, outlet.seen], [0, 0, []]);
  streams.open(narrow, new Filter(['a']), { form: 'data', control: true, chunked: true, lastChunk: false }, outlet, { at: at(0), gap: undefined });
  t.equal(streams.size, 1);
});
