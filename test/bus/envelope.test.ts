import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { decode, encode, envelopeSize, SENDER_BYTES } from '../../src/bus/envelope.ts';
import { Message } from '../../src/model/message.ts';
import { content, message } from '../contract/bus.ts';

const HERE = randomBytes(SENDER_BYTES);
const THERE = randomBytes(SENDER_BYTES);

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((value) => value.isWellFormed() && !/\p{Cc}/u.test(value));
/** What `checkEvent` lets a publisher say: tabs and other control characters too. */
const event = fc.string({ unit: fc.oneof(fc.constantFrom('\t', '\u0001', '\u001b', '\u0085'), fc.constantFrom('a', 'é', ' ')), minLength: 1, maxLength: 20 });
const drafts = fc.array(fc.record({
  gap: fc.integer({ min: 1, max: 1_000_000 }),
  epoch: fc.stringMatching(/^[a-z0-9]{8,32}$/),
  time: fc.integer({ min: 0, max: 8_000_000_000_000 }),
  expires: fc.integer({ min: 0, max: 8_000_000_000_000 }),
  topic: text,
  event: fc.option(fc.oneof(text, event), { nil: undefined }),
  json: fc.boolean(),
  data: fc.uint8Array({ maxLength: 300 }),
}), { minLength: 1, maxLength: 20 });

const commits = drafts.map((parts) => {
  let seq = 0;
  return parts.map(({ gap, epoch, time, expires, ...draft }) => {
    seq += gap;
    return new Message(epoch, seq, time, expires, draft);
  });
});

t.test('what goes in comes out', async (t) => {
  fc.assert(fc.property(commits, (messages) => {
    const bytes = encode(HERE, messages);
    t.ok(bytes.length <= envelopeSize(messages));
    const envelope = decode(bytes, THERE);
    t.same(envelope.kind === 'messages' ? content(envelope.messages) : envelope.kind, content(messages));
  }), { numRuns: 200 });
});

t.test('an envelope is small: 13 bytes, and 35 and the epoch for a message besides its own bytes', async (t) => {
  t.equal(encode(HERE, []).length, 13);
  t.equal(encode(HERE, [message(1, 'data', { topic: 'a.b' })]).length, 13 + 35 + 1 + 12 + 3 + 4);
  t.equal(encode(HERE, [message(1, '', { topic: 'a' }), message(2, '', { topic: 'a' })]).length, 13 + 2 * 36 + 1 + 12);
});

t.test('the sender knows its own, and an empty one says: look', async (t) => {
  t.equal(decode(encode(HERE, [message(1)]), HERE).kind, 'own');
  t.equal(decode(encode(HERE, []), HERE).kind, 'own');
  t.equal(decode(encode(HERE, []), THERE).kind, 'look');
});

t.test('another version is recognised by its first byte, whatever follows', async (t) => {
  for (const version of [0, 2, 255]) t.equal(decode(Buffer.from([version]), THERE).kind, 'other-version');
});

t.test('cut anywhere, or with a byte after its end, it is malformed', async (t) => {
  const whole = encode(HERE, [message(1, 'some data', { event: 'e' }), message(2, '{}', { json: true, epoch: 'otherepoch00' })]);
  for (let length = 0; length < whole.length; length++) t.equal(decode(whole.subarray(0, length), THERE).kind, 'malformed', `${length} bytes`);
  t.equal(decode(Buffer.concat([whole, Buffer.of(0)]), THERE).kind, 'malformed');
});

t.test('values that no message can have are malformed', async (t) => {
  const bad: [string, Message[]][] = [
    ['number 0', [message(0)]], ['a fraction', [message(1.5)]], ['not a number', [message(Number.NaN)]], ['too large', [message(2 ** 53)]],
    ['not increasing', [message(2), message(2)]], ['an epoch', [message(1, '', { epoch: 'UPPER-CASE' })]], ['a short epoch', [message(1, '', { epoch: 'abc' })]],
    ['no topic', [message(1, '', { topic: '' })]], ['a line break', [message(1, '', { event: 'a\nb' })]], ['an empty event', [message(1, '', { event: '' })]],
    ['a time that no date has', [new Message('abcdefgh', 1, 9e15, 0, message(1))]], ['a negative expiry', [message(1, '', { expires: -1 })]],
  ];
  for (const [what, messages] of bad) t.equal(decode(encode(HERE, messages), THERE).kind, 'malformed', what);
  const topic = encode(HERE, [message(1, '', { topic: 'abc' })]);
  topic[topic.length - 1] = 0xff;
  t.equal(decode(topic, THERE).kind, 'malformed', 'a topic that is not UTF-8');
});

t.test('garbage and damage never throw', async (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
    decode(Buffer.from(bytes), THERE);
    decode(Buffer.concat([encode(HERE, []).subarray(0, 9), bytes]), THERE);
  }), { numRuns: 2_000 });
  fc.assert(fc.property(commits, fc.nat(), fc.integer({ min: 0, max: 255 }), (messages, at, value) => {
    const bytes = encode(HERE, messages);
    bytes[at % bytes.length] = value;
    decode(bytes, THERE);
  }), { numRuns: 2_000 });
  const many = encode(HERE, [message(1)]);
  many.writeUInt32BE(0xffffffff, 1 + SENDER_BYTES);
  t.equal(decode(many, THERE).kind, 'malformed', 'a count that is far too large');
});

t.test('a message holds the memory of its envelope and of nothing around it', async (t) => {
  const bytes = encode(HERE, [message(1, 'abc'), message(2, 'def')]);
  const chunk = Buffer.alloc(65_536);
  bytes.copy(chunk, 1_000);
  const envelope = decode(chunk.subarray(1_000, 1_000 + bytes.length), THERE);
  chunk.fill(0);
  if (envelope.kind !== 'messages') return t.fail(envelope.kind);
  t.same(envelope.messages.map(({ data }) => Buffer.from(data).toString()), ['abc', 'def']);
  for (const { data } of envelope.messages) t.equal(data.buffer.byteLength, bytes.length);
});
