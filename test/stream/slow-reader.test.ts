import t from 'tap';
import { ByteCounter } from '../support/byte-counter.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { median, residentBytes } from '../support/memory.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const MESSAGE_BYTES = 128 * 1024;
/** Each of them is sent everything: for a hundred that is 16 GB. */
const STREAMS = rounds(10, 100);

/** What is published before, and while one stream stands still. */
const BEFORE_BYTES = 100 * MIB;
const LOAD_BYTES = 160 * MIB;
/** Less than half of what the process grows by where all that is kept for the stream. */
const GROWN_MAX_BYTES = 48 * MIB;

/** So that neither a heartbeat nor a stall comes between: bytes are compared. Seconds. */
const NEVER = '3600';

/** What a message begins with, so that its order can be read off it; the rest fills it up. */
function data(index: number): string {
  return `${index} `.padEnd(MESSAGE_BYTES, 'x');
}

/**
 * Seen to fail without the last `if` of reader.ts, so that no socket ever counts as full: the process grew by more than 100 MiB,
 * and nobody was behind.
 *
 * What is compared is the memory under the same load, before and while one stream stands still. The load comes with
 * garbage that lies around until a collection, more than 100 MiB of it; so the first measurement follows some 100 MB, when as much
 * of it was seen as there ever will be. And the tail is small, so that it is full by then.
 */
t.test('one stream of many stops reading for 160 MB: memory stays, the others are served, and it gets everything later', async (t) => {
  const instance = await startInstance(t, { TAIL_BYTES: '8MiB', STALL_SECONDS: NEVER });
  const http = new Http(t, instance.url);
  const url = `${instance.url}/topics/load/events`;

  let published = 0;
  let frames = 0;
  /** Publishes so many messages; the memory of the instance in the last quarter of it. */
  async function load(bytes: number): Promise<number[]> {
    const memory: number[] = [];
    const from = published;
    const count = bytes / MESSAGE_BYTES;
    await each(count, 4, async (index) => {
      const id = await http.publish('load', data(from + index));
      frames += frameBytes(id, data(from + index));
      published++;
      if (index >= 0.75 * count) memory.push(residentBytes(instance.pid));
    });
    return memory;
  }

  // With one stream, so that everything that the load alone takes is taken: garbage between two collections, most of all.
  const slow = await openStream(t, url);
  await slow.next(({ event }) => event === '$open');
  const before = median(await load(BEFORE_BYTES));
  await slow.until(() => slow.events.length === published + 1);

  frames = 0;
  const others = await Promise.all(Array.from({ length: STREAMS - 1 }, () => ByteCounter.open(t, url)));
  const opened = others.map(({ bytes }) => bytes);
  const caughtUp = (): boolean => others.every((other, index) => other.bytes - opened[index]! >= frames);
  slow.pause();
  const stalledAt = published;
  const during = median(await load(LOAD_BYTES));
  // The slow one stands still until here: whatever the others wait for, it is not that one.
  await until('the others have got everything', caughtUp);
  const grown = during - before;
  t.ok(grown < GROWN_MAX_BYTES, `the process grew by ${Math.round(grown / MIB)} MiB`);
  t.comment(`it grew from ${Math.round(before / MIB)} by ${Math.round(grown / MIB)} MiB`);

  // The service hears a moment after its clients that their sockets have room again.
  await until('nobody else is behind', async () => await http.metric('readers_behind') === 1);
  const metrics = await http.metrics();
  const behind = metrics.get('tidings_readers_behind_max_messages')!;
  t.ok(behind > 0.8 * LOAD_BYTES / MESSAGE_BYTES && behind <= published - stalledAt, `it is ${behind} of ${published - stalledAt} messages behind`);
  t.ok(metrics.get('tidings_tail_bytes')! <= 8 * MIB);
  t.ok(metrics.get('tidings_readers_fell_behind_total')! >= 1);

  slow.resume();
  await slow.until(() => slow.events.length >= published + 1);
  const messages = slow.events.filter(({ event }) => event === undefined);
  t.same(messages.map(({ id }) => seqOf(id)), Array.from({ length: published }, (_, index) => index + 1), 'everything, once, in order');
  t.same(slow.events.filter(({ event }) => event !== undefined).map(({ event }) => event), ['$open'], 'and nothing else');
  t.ok(messages.every(({ data }) => data.length === MESSAGE_BYTES));
  t.equal(new Set(messages.map(({ data }) => Number.parseInt(data, 10))).size, published);
  await until('it is live again', async () => await http.metric('readers_behind') === 0);
  t.ok(others.every((other, index) => other.bytes - opened[index]! < frames + MESSAGE_BYTES), 'and the others got nothing twice');
  t.ok(others.every(({ lastId }) => seqOf(lastId) === published));
});

t.test('a stream whose client takes nothing for STALL_SECONDS is closed, and comes back to where it was', async (t) => {
  const instance = await startInstance(t, { TAIL_BYTES: '1MiB', STALL_SECONDS: '2' });
  const http = new Http(t, instance.url);
  const url = `${instance.url}/topics/load/events`;
  const stalled = await openStream(t, url);
  const other = await openStream(t, url);
  stalled.pause();
  let published = 0;
  let untilThen = performance.now();
  for (let behind = 0; behind === 0; behind = await http.metric('readers_behind')) {
    untilThen = performance.now();
    await each(32, 4, async () => {
      await http.publish('load', data(published++));
    });
  }
  await until('it is closed', async () => await http.metric('streams_stalled_total') === 1);
  t.ok(performance.now() - untilThen >= 2000, 'not before the time is over');
  await until('the other is open, and not behind', async () => await http.metric('streams') === 1 && await http.metric('readers_behind') === 0);

  stalled.resume();
  t.notOk((await stalled.ended).clean);
  const last = stalled.events.at(-1)!.id!;
  const again = await openStream(t, url, { headers: { 'last-event-id': last } });
  await again.until(() => again.events.at(-1)?.id !== undefined && seqOf(again.events.at(-1)!.id) === published);
  const got = [...stalled.events, ...again.events].filter(({ event }) => event === undefined);
  t.same(got.map(({ id }) => seqOf(id)), Array.from({ length: published }, (_, index) => index + 1));
  await other.until(() => other.events.length === published + 1);
  t.ok(seqOf(last) < published, 'what it did not take was not thrown at it');
});

/** A large message, and how a slow client takes it: what one read gives, then a pause. The kernel's buffers take some 6 MiB at once; the rest takes twice as long as STALL_SECONDS. */
const LARGE_BYTES = 16 * MIB;
const SLOW_PAUSE_MS = 25;

/** Seen to fail where only a socket that has drained counts as progress: the stream was closed inside the message, and would be for ever. */
t.test('a client that takes a large message slowly, but steadily, for longer than STALL_SECONDS gets all of it', async (t) => {
  const instance = await startInstance(t, { MESSAGE_BYTES: String(LARGE_BYTES), STALL_SECONDS: '2' });
  const http = new Http(t, instance.url);
  const slow: { stream?: SseStream } = {};
  const stream = slow.stream = await openStream(t, `${instance.url}/topics/load/events`, {
    onData: () => {
      slow.stream?.pause();
      setTimeout(() => slow.stream?.resume(), SLOW_PAUSE_MS);
    },
  });
  const published = http.publish('load', 'x'.repeat(LARGE_BYTES));
  await until('its socket is full', async () => await http.metric('readers_behind') === 1);
  const full = performance.now();
  await until('its socket has drained', async () => await http.metric('readers_behind') === 0);
  t.ok(performance.now() - full > 2000, 'after more than STALL_SECONDS');
  const { data, id } = await stream.next(({ event }) => event === undefined);
  t.same([data.length, id], [LARGE_BYTES, await published]);
  t.equal(await http.metric('streams_stalled_total'), 0);
});

/** The bytes of a message on the wire: its frame and the chunk around it. */
function frameBytes(id: string, text: string): number {
  const frame = `data: ${text}\nid: ${id}\n\n`.length;
  return frame.toString(16).length + 2 + frame + 2;
}
