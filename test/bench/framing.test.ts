import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { Counting } from '../../bench/load/events.ts';
import { chunked, plain, Position, type Framing, type Receiver } from '../../bench/load/framing.ts';
import { Histogram } from '../../bench/load/histogram.ts';
import { Ledger } from '../../bench/load/ledger.ts';
import { makeMarker, stamp } from '../../bench/load/marker.ts';
import type { Run } from '../../bench/load/run.ts';
import { textFrame, websocket } from '../../bench/load/websocket.ts';

/** Events are found however the bytes are cut up: by chunks, by frames, by reads. */

const run: Run = { number: 41, base: 0, topics: { name: 't{i}', count: 30 }, bytes: 40, inOrder: true, slow: 0, quietMs: 0 };

/** Message `seq` of topic `topic`, as data. */
function data(topic: number, seq: number, of = run.number): string {
  const bytes = Buffer.from(`"${makeMarker(of, topic).padEnd(run.bytes - 2, 'x')}"`);
  stamp(bytes, 1, seq, 1000 * seq);
  return bytes.toString();
}

/** Reads with the parser of a stream, and writes down what came. */
class Reading implements Receiver {
  readonly position = new Position();
  readonly ledger = new Ledger(run);
  readonly counting = new Counting(run, this.ledger, latency, latency);
  messages = 0;
  readonly pings: string[] = [];
  readonly #framing: Framing;

  constructor(framing: Framing) {
    this.#framing = framing;
    this.ledger.add({ number: 0, names: ['>'] }, true);
  }

  /** As from a socket: always into the same buffer, which still holds what came before. */
  read(bytes: Buffer): void {
    bytes.copy(shared);
    this.#framing.read(this, shared, 0, bytes.length, 5);
  }

  events(bytes: Buffer, from: number, to: number, now: number): void {
    this.counting.events({ number: 0, slow: false, connectedAt: 0 }, bytes, from, to, now);
  }

  message(bytes: Buffer, from: number, to: number, now: number): void {
    this.messages++;
    this.events(bytes, from, to, now);
  }

  ping(bytes: Buffer, from: number, to: number): void {
    this.pings.push(bytes.toString('latin1', from, to));
  }

  get found(): object {
    const { doubled, reordered, unasked } = this.ledger;
    return { delivered: this.counting.delivered, doubled, reordered, unasked, kept: this.position.keptLength };
  }
}

const latency = new Histogram();
const shared = Buffer.alloc(4096);

function found(delivered: number): object {
  return { delivered, doubled: 0, reordered: 0, unasked: 0, kept: 0 };
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

const stream = `event: $open\ndata: {}\nid: bench-9\n\ndata: ${data(0, 0)}\nid: bench-10\n\n:\nid: bench-11\ndata: ${data(29, 0)}\n\nevent: x\ndata: ${data(0, 1)}\nid: bench-12\n\n`;

t.test('a chunk may end anywhere, and a read too', (t) => {
  const wrong: string[] = [];
  for (let boundary = 1; boundary < stream.length; boundary++) {
    const body = Buffer.from(chunk(stream.slice(0, boundary)) + chunk(stream.slice(boundary)));
    for (let split = 1; split < body.length; split++) {
      const reading = new Reading(chunked);
      reading.read(body.subarray(0, split));
      reading.read(body.subarray(split));
      if (!isDeepStrictEqual(reading.found, found(3))) wrong.push(`chunk ${boundary}, read ${split}: ${JSON.stringify(reading.found)}`);
    }
  }
  t.same(wrong, []);
  t.end();
});

t.test('bytes may come one by one, with chunks of any size and without', (t) => {
  for (const size of [1, 2, 7, 60, stream.length]) {
    const reading = new Reading(chunked);
    const chunks = stream.match(new RegExp(`[^]{1,${size}}`, 'g'))!.map(chunk).join('');
    for (const byte of Buffer.from(chunks)) reading.read(Buffer.of(byte));
    t.same(reading.found, found(3), `chunks of ${size}`);
  }
  const reading = new Reading(plain);
  for (const byte of Buffer.from(stream)) reading.read(Buffer.of(byte));
  t.same(reading.found, found(3), 'no chunks');
  t.end();
});

t.test('many frames in one chunk, with other things between them, are all counted', (t) => {
  const frames: string[] = [];
  for (let seq = 0; seq < 198; seq++) {
    frames.push(`data: ${data(0, seq)}\nid: bench-${8 * seq}\n\n`);
    if (seq % 7 === 3) frames.push('event: $cursor\ndata: {}\nid: bench-7\n\n', ':\n');
    if (seq % 11 === 3) frames.push(`data: ${data(0, seq, run.number - 1)}\n\n`);
    if (seq % 13 === 3) frames.push(`id: ${'9'.repeat(seq % 29)}\ndata: ${data(seq % 29 + 1, Math.floor(seq / 377))}\n\n`);
  }
  const body = Buffer.from(chunk(frames.join('')));
  const others = frames.filter((frame) => frame.startsWith('id: ')).length;
  for (const size of [body.length, 4000, 900, 61, 13]) {
    const reading = new Reading(chunked);
    for (let at = 0; at < body.length; at += Math.min(size, 4000)) reading.read(body.subarray(at, at + Math.min(size, 4000)));
    t.same(reading.found, found(198 + others), `reads of ${size}`);
  }
  t.end();
});

t.test('no message is passed over, where something else stood in the place of one before', (t) => {
  const frame = (seq: number): string => `data: ${data(0, seq)}\nid: bench-${seq + 10}\n\n`;
  const other = `event: x\ndata: ${'y'.repeat(frame(0).length - 17)}\n\n`;
  t.equal(other.length, frame(0).length);
  const reading = new Reading(chunked);
  for (const body of [other + frame(0), frame(1) + frame(2), frame(3) + other + frame(4), frame(5) + frame(6) + frame(7)]) reading.read(Buffer.from(chunk(body)));
  t.same(reading.found, found(8));
  t.end();
});

t.test('a message that is there twice, in one chunk or in two, is counted as doubled', (t) => {
  const frame = `data: ${data(0, 0)}\nid: bench-10\n\n`;
  const other = `data: ${data(0, 1)}\nid: bench-11\n\n`;
  for (const body of [chunk(frame + frame + other), chunk(frame) + chunk(frame) + chunk(other), chunk(frame + other + frame)]) {
    const reading = new Reading(chunked);
    reading.read(Buffer.from(body));
    t.match(reading.found, { delivered: 2, doubled: 1, reordered: 0 });
  }
  t.end();
});

t.test('WebSocket: a frame may be cut anywhere, and have a length of any size; pings are told apart', (t) => {
  const long = `42["message","${data(0, 2)}${'y'.repeat(300)}"]`;
  const frames = ['2', `42["message","${data(0, 0)}"]`, '', `42["message","${data(0, 1)}"]`, long].map((text) => fromServer(text));
  frames.splice(2, 0, Buffer.concat([Buffer.of(0x89, 14), Buffer.from('are you there?')]), Buffer.of(0x89, 0));
  const bytes = Buffer.concat(frames);
  const wrong: number[] = [];
  for (let split = 1; split < bytes.length; split++) {
    const reading = new Reading(websocket);
    reading.read(bytes.subarray(0, split));
    reading.read(bytes.subarray(split));
    if (!isDeepStrictEqual(reading.found, found(3)) || reading.messages !== 5 || reading.pings.join() !== 'are you there?,') wrong.push(split);
  }
  t.same(wrong, []);
  const reading = new Reading(websocket);
  for (const byte of bytes) reading.read(Buffer.of(byte));
  t.same(reading.found, found(3));
  t.throws(() => new Reading(websocket).read(Buffer.of(0x88, 0)), /closed/);
  t.throws(() => new Reading(websocket).read(textFrame('masked')), /mask/);
  t.end();
});

function fromServer(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? Buffer.of(0x81, payload.length) : Buffer.of(0x81, 126, payload.length >> 8, payload.length & 255);
  return Buffer.concat([head, payload]);
}

t.test('a broken chunk ends the stream, and an event without an end does not fill the memory', (t) => {
  t.throws(() => new Reading(chunked).read(Buffer.from('fffffffff\r\n')), /chunk/);
  const reading = new Reading(plain);
  t.throws(() => {
    for (let count = 0; count < 10_000; count++) reading.read(Buffer.alloc(4096, 'x'));
  }, /without an end/);
  t.end();
});
