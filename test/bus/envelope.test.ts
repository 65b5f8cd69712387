import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { EnvelopeKeys, proof } from '../../src/bus/envelope-keys.ts';
import { carriedOf, decode, encode, partsOf, SENDER_BYTES, type Envelope } from '../../src/bus/envelope.ts';
import { Message } from '../../src/model/message.ts';
import { content, EPOCH, message, secretOf } from '../contract/bus.ts';

const HERE = randomBytes(SENDER_BYTES);
const THERE = randomBytes(SENDER_BYTES);
const KEYS = new EnvelopeKeys(secretOf);

const isPlain = (value: string): boolean => value.isWellFormed() && !/[\s\p{Cc}]/u.test(value);
/** What `checkTopic` lets a publisher say. */
const topic = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((value) => isPlain(value) && !/[*>]|^\$|^\.|\.$|\.\./.test(value));
/** What `checkEvent` lets a publisher say: tabs and other control characters too. */
const event = fc.string({ unit: fc.oneof(fc.constantFrom('\t', '\u0001', '\u001b', '\u0085'), fc.constantFrom('a', 'é', ' ')), minLength: 1, maxLength: 20 });
const data = fc.oneof(
  fc.json().map((text) => ({ json: true, data: Buffer.from(text) })),
  fc.string({ unit: 'binary', maxLength: 300 }).filter((text) => text.isWellFormed()).map((text) => ({ json: false, data: Buffer.from(text) })),
);
const drafts = fc.array(fc.tuple(fc.record({
  gap: fc.integer({ min: 1, max: 1_000_000 }),
  time: fc.integer({ min: 0, max: 8_000_000_000_000 }),
  expires: fc.integer({ min: 0, max: 8_000_000_000_000 }),
  topic,
  event: fc.option(event, { nil: undefined }),
}), data), { minLength: 1, maxLength: 20 });

const commits = fc.tuple(fc.stringMatching(/^[a-z0-9]{8,32}$/), drafts).map(([epoch, parts]) => {
  let seq = 0;
  return parts.map(([{ gap, time, expires, ...draft }, body]) => {
    seq += gap;
    return new Message(epoch, seq, time, expires, { ...draft, ...body });
  });
});

const sealed = (...messages: readonly Message[]): Buffer => encode(HERE, carriedOf(messages, KEYS));
const opened = (payload: Buffer, keys = KEYS): Envelope => decode(payload, THERE, keys);

t.test('what goes in comes out', async (t) => {
  fc.assert(fc.property(commits, (messages) => {
    const envelope = opened(sealed(...messages));
    t.same(envelope.kind === 'messages' ? content([...envelope.messages]) : envelope.kind, content(messages));
  }), { numRuns: 200 });
});

t.test('an envelope is small: 30 bytes and the epoch, and 35 for a message besides its own bytes; 13 without messages', async (t) => {
  t.equal(encode(HERE, undefined).length, 13);
  t.equal(sealed(message(1, 'data', { topic: 'a.b' })).length, 30 + 12 + 35 + 3 + 4);
  t.equal(sealed(message(1, '', { topic: 'a' }), message(2, '', { topic: 'a' })).length, 30 + 12 + 2 * 36);
});

t.test('the sender knows its own, and an empty one says: look', async (t) => {
  t.equal(decode(sealed(message(1)), HERE, KEYS).kind, 'own');
  t.equal(decode(encode(HERE, undefined), HERE, KEYS).kind, 'own');
  t.equal(opened(encode(HERE, undefined)).kind, 'look');
});

t.test('nothing is carried of a commit that is too large, has several epochs, or one without a secret', async (t) => {
  t.ok(carriedOf([message(1)], KEYS));
  t.notOk(carriedOf([message(1, Buffer.alloc(1024 * 1024))], KEYS));
  t.notOk(carriedOf([message(1), message(2, '', { epoch: 'anotherepoch99' })], KEYS));
  t.notOk(carriedOf([message(1)], new EnvelopeKeys(() => undefined)));
});

t.test('a commit is divided into parts in order; a message that is too large stands alone', async (t) => {
  const sizes = (...bytes: readonly number[]): number[] => partsOf(bytes.map((size, index) => message(index + 1, Buffer.alloc(size)))).map(({ length }) => length);
  t.same(sizes(500_000, 500_000, 500_000), [2, 1]);
  t.same(sizes(10, 2_000_000, 10, 10), [1, 1, 2]);
  t.same(sizes(2_000_000, 2_000_000, 500_000), [3]);
  // What no byte can be added to.
  const most = 1024 * 1024 - carriedOf([message(1, '')], KEYS)!.bytes;
  t.equal(carriedOf([message(1, Buffer.alloc(most))], KEYS)?.bytes, 1024 * 1024);
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 400_000 }), { maxLength: 12 }), (bytes) => {
    const messages = bytes.map((size, index) => message(index + 1, Buffer.alloc(size)));
    const parts = partsOf(messages);
    t.same(parts.flat(), messages);
    if (bytes.reduce((sum, size) => sum + size, 0) < 4_000_000) t.ok(parts.every((part) => carriedOf(part, KEYS) !== undefined));
  }), { numRuns: 30 });
});

/** One message as the program of each version writes it. Instances of both meet on one bus, so these bytes never change. */
const SECRET = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f';
const SENDER = Buffer.from('a1a2a3a4a5a6a7a8', 'hex');
const MESSAGE = message(1042, '{"a":1}', { event: 'created', json: true });
const VERSION_1 = '01a1a2a3a4a5a6a7a8000000010740904800000000004278bcfe56c120000000000000000000000a00000007000000070c61'
  + '62636465666768313233346f72646572732e6e6577637265617465647b2261223a317d';
const VERSION_2 = '02a1a2a3a4a5a6a7a8000000010c6162636465666768313233340340904800000000004278bcfe56c1200000000000000000'
  + '00000a00000007000000076f72646572732e6e6577637265617465647b2261223a317de48c20e7324529af8202543544549abf';

t.test('the bytes of version 2 do not change', async (t) => {
  const keys = new EnvelopeKeys(() => SECRET);
  t.equal(encode(SENDER, carriedOf([MESSAGE], keys)).toString('hex'), VERSION_2);
  const envelope = opened(Buffer.from(VERSION_2, 'hex'), keys);
  t.same(envelope.kind === 'messages' ? content([...envelope.messages]) : envelope.kind, content([MESSAGE]));
  t.equal(encode(SENDER, undefined).toString('hex'), '02a1a2a3a4a5a6a7a800000000');
});

t.test('another version is recognised by its first byte', async (t) => {
  for (const version of [0, 1, 3, 255]) t.equal(opened(Buffer.from([version])).kind, 'other-version');
  t.equal(opened(Buffer.from(VERSION_1, 'hex')).kind, 'other-version', 'version 1, which programs write that were released with it');
});

t.test('cut anywhere, or with a byte after its end, it is not used', async (t) => {
  const whole = sealed(message(1, 'some data', { event: 'e' }), message(2, '{}', { json: true }));
  for (let length = 0; length < whole.length; length++) t.ok(['malformed', 'forged'].includes(opened(whole.subarray(0, length)).kind), `${length} bytes`);
  t.equal(opened(Buffer.concat([whole, Buffer.of(0)])).kind, 'forged');
});

t.test('with any one bit flipped, it is not used', async (t) => {
  const whole = sealed(message(1, '{}', { json: true, event: 'e' }));
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const { kind } = opened(flipped);
    if (kind === 'messages' || kind === 'own') t.fail(`bit ${bit}: ${kind}`);
  }
});

t.test('without the secret of its epoch, nobody makes an envelope that is used', async (t) => {
  const other = new EnvelopeKeys(() => secretOf('another'));
  t.equal(opened(encode(HERE, carriedOf([message(1)], other))).kind, 'forged', 'another secret');
  t.equal(opened(sealed(message(1)), new EnvelopeKeys((epoch) => (epoch === EPOCH ? undefined : secretOf(epoch)))).kind, 'other-epoch', 'an epoch that has none');
  const withoutProof = sealed(message(1));
  withoutProof.fill(0, withoutProof.length - 16);
  t.equal(opened(withoutProof).kind, 'forged', 'no proof');
  t.equal(opened(withoutProof.subarray(0, -16)).kind, 'forged', 'not even room for one');
});

t.test('what cannot be published is malformed, though its sender proves itself', async (t) => {
  const bad: [string, Message[]][] = [
    ['number 0', [message(0)]], ['a fraction', [message(1.5)]], ['not a number', [message(Number.NaN)]], ['too large', [message(2 ** 53)]],
    ['not increasing', [message(2), message(2)]], ['an epoch', [message(1, '', { epoch: 'UPPER-CASE' })]], ['a short epoch', [message(1, '', { epoch: 'abc' })]],
    ['a time that no date has', [new Message('abcdefgh', 1, 9e15, 0, message(1))]], ['a negative expiry', [message(1, '', { expires: -1 })]],
    ['no topic', [message(1, '', { topic: '' })]], ['a reserved topic', [message(1, '', { topic: '$clients' })]], ['a pattern', [message(1, '', { topic: 'a.*' })]],
    ['a topic of two lines', [message(1, '', { topic: 'a\nb' })]], ['a long topic', [message(1, '', { topic: 'x'.repeat(256) })]], ['an empty segment', [message(1, '', { topic: 'a..b' })]],
    ['a line break', [message(1, '', { event: 'a\nb' })]], ['an empty event', [message(1, '', { event: '' })]], ['a control event', [message(1, '', { event: '$gap' })]],
    ['an event of the browser', [message(1, '', { event: 'error' })]], ['a long event', [message(1, '', { event: 'x'.repeat(1025) })]],
    ['JSON that is not UTF-8', [message(1, Buffer.of(0x22, 0xff, 0x22), { json: true })]], ['text that is not UTF-8', [message(1, Buffer.of(0xff))]],
    ['a character that begins in one message and ends in the next', [message(1, Buffer.of(0xc3)), message(2, Buffer.of(0xa9))]], ['data that begins in the middle of a character', [message(1, Buffer.of(0xa9), { event: 'e' })]],
    ['one bad among good', [message(1), message(2, '', { topic: '$clients' }), message(3)]],
  ];
  for (const [what, messages] of bad) t.equal(opened(sealed(...messages)).kind, 'malformed', what);
  const carried = carriedOf([message(1, '', { topic: 'abc' })], KEYS)!;
  const changed = (change: (bytes: Buffer) => void): Envelope => {
    const bytes = encode(HERE, carried);
    change(bytes);
    proof(carried.key, bytes.subarray(0, -16)).copy(bytes, bytes.length - 16);
    return opened(bytes);
  };
  t.equal(changed(() => undefined).kind, 'messages');
  t.equal(changed((bytes) => bytes.writeUInt8(0xff, bytes.length - 17)).kind, 'malformed', 'a topic that is not UTF-8');
  t.equal(changed((bytes) => bytes.writeUInt32BE(0xffffffff, 1 + SENDER_BYTES)).kind, 'malformed', 'a count that is far too large');
});

t.test('garbage and damage never throw', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
    opened(Buffer.from(bytes));
    opened(Buffer.concat([encode(HERE, undefined).subarray(0, 9), bytes]));
  }), { numRuns: 2_000 });
  fc.assert(fc.property(commits, fc.nat(), fc.integer({ min: 0, max: 255 }), (messages, at, value) => {
    const bytes = sealed(...messages);
    const carried = carriedOf(messages, KEYS)!;
    bytes[at % bytes.length] = value;
    opened(bytes);
    proof(carried.key, bytes.subarray(0, -16)).copy(bytes, bytes.length - 16);
    opened(bytes);
  }), { numRuns: 1_000 });
});

t.test('a message holds the memory of its envelope and of nothing around it', async (t) => {
  const bytes = sealed(message(1, 'abc'), message(2, 'def'));
  const chunk = Buffer.alloc(65_536);
  bytes.copy(chunk, 1_000);
  const envelope = opened(chunk.subarray(1_000, 1_000 + bytes.length));
  chunk.fill(0);
  if (envelope.kind !== 'messages') return t.fail(envelope.kind);
  const messages = [...envelope.messages];
  t.same(messages.map(({ data }) => Buffer.from(data).toString()), ['abc', 'def']);
  for (const { data } of messages) t.ok(data.buffer.byteLength <= bytes.length);
});
