import { isUtf8 } from 'node:buffer';
import { Message } from '../model/message.ts';
import { ownCopy } from '../runtime/memory.ts';

/**
 * What travels on the bus, one envelope for one commit:
 *
 *     version u8 | sender 8 bytes | count u32 | count messages
 *     message: flags u8 | seq f64 | time f64 | expires f64 | topic length u16 | event length u32 | data length u32
 *              | epoch length u8 and epoch, if flagged | topic | event, if flagged | data
 *
 * Numbers are big-endian. A message without an epoch has that of the message before it. A count of 0 means: look at the head.
 */

/** Changes whenever the layout above does: instances of two versions meet on one bus during every deployment. */
const VERSION = 1;

export const SENDER_BYTES = 8;

const HEADER_BYTES = 1 + SENDER_BYTES + 4;
const LENGTH_BYTES = 2 + 4 + 4;
const MESSAGE_BYTES = 1 + 8 + 8 + 8 + LENGTH_BYTES;

const JSON_DATA = 1;
const HAS_EVENT = 2;
const HAS_EPOCH = 4;
const KNOWN_FLAGS = JSON_DATA | HAS_EVENT | HAS_EPOCH;

const EPOCH = /^[a-z0-9]{8,32}$/;
/** What neither a topic nor an event name may hold, wherever it comes from: it could end a line of a frame. */
const LINE_END = /[\r\n\0]/;

export type Envelope =
  | { readonly kind: 'messages'; readonly messages: readonly Message[] }
  /** Something was committed that is not in here: too large for it, or written by another version. */
  | { readonly kind: 'look' | 'other-version' }
  | { readonly kind: 'own' | 'malformed' };

/** How many bytes `encode` would take for these messages, or a little more. */
export function envelopeSize(messages: readonly Message[]): number {
  let size = HEADER_BYTES;
  for (const { epoch, topic, event, data } of messages) {
    size += MESSAGE_BYTES + 1 + epoch.length + Buffer.byteLength(topic) + (event === undefined ? 0 : Buffer.byteLength(event)) + data.length;
  }
  return size;
}

/** The envelope of one commit's messages; of none, the one that says: look at the head. */
export function encode(sender: Buffer, messages: readonly Message[]): Buffer {
  const bytes = Buffer.allocUnsafe(envelopeSize(messages));
  bytes[0] = VERSION;
  sender.copy(bytes, 1);
  let at = bytes.writeUInt32BE(messages.length, 1 + SENDER_BYTES);
  let epoch = '';
  for (const message of messages) {
    const start = at;
    let flags = message.json ? JSON_DATA : 0;
    at = bytes.writeDoubleBE(message.seq, at + 1);
    at = bytes.writeDoubleBE(message.time, at);
    at = bytes.writeDoubleBE(message.expires, at);
    const lengths = at;
    at += LENGTH_BYTES;
    if (message.epoch !== epoch) {
      epoch = message.epoch;
      flags |= HAS_EPOCH;
      at = bytes.writeUInt8(epoch.length, at);
      at += bytes.write(epoch, at, 'latin1');
    }
    const topic = bytes.write(message.topic, at);
    at += topic;
    let event = 0;
    if (message.event !== undefined) {
      flags |= HAS_EVENT;
      event = bytes.write(message.event, at);
      at += event;
    }
    bytes.set(message.data, at);
    at += message.data.length;
    bytes[start] = flags;
    bytes.writeUInt16BE(topic, lengths);
    bytes.writeUInt32BE(event, lengths + 2);
    bytes.writeUInt32BE(message.data.length, lengths + 6);
  }
  return bytes.subarray(0, at);
}

/** What came in on the bus, whatever it is: never throws. */
export function decode(payload: Buffer, sender: Buffer): Envelope {
  if (payload.length < 1) return MALFORMED;
  if (payload[0] !== VERSION) return { kind: 'other-version' };
  if (payload.length < HEADER_BYTES) return MALFORMED;
  if (payload.compare(sender, 0, SENDER_BYTES, 1, 1 + SENDER_BYTES) === 0) return { kind: 'own' };
  const count = payload.readUInt32BE(1 + SENDER_BYTES);
  if (count === 0) return payload.length === HEADER_BYTES ? { kind: 'look' } : MALFORMED;
  // The payload is a piece of what was read from the socket at once; kept as it is, a small message would hold all of that.
  const messages = decodeMessages(ownCopy(payload), count);
  return messages === undefined ? MALFORMED : { kind: 'messages', messages };
}

const MALFORMED: Envelope = { kind: 'malformed' };

function decodeMessages(bytes: Buffer, count: number): Message[] | undefined {
  const messages: Message[] = [];
  let at = HEADER_BYTES;
  let epoch: string | undefined;
  let last = 0;
  for (let index = 0; index < count; index++) {
    if (at + MESSAGE_BYTES > bytes.length) return undefined;
    const flags = bytes[at]!;
    const seq = bytes.readDoubleBE(at + 1);
    const time = bytes.readDoubleBE(at + 9);
    const expires = bytes.readDoubleBE(at + 17);
    const topicLength = bytes.readUInt16BE(at + 25);
    const eventLength = bytes.readUInt32BE(at + 27);
    const dataLength = bytes.readUInt32BE(at + 31);
    at += MESSAGE_BYTES;
    if ((flags & ~KNOWN_FLAGS) !== 0 || !Number.isSafeInteger(seq) || seq <= last || !isTime(time) || !isTime(expires)) return undefined;
    if ((flags & HAS_EPOCH) !== 0) {
      const length = bytes[at] ?? 0;
      epoch = bytes.toString('latin1', at + 1, at + 1 + length);
      at += 1 + length;
      if (!EPOCH.test(epoch)) return undefined;
    }
    if (epoch === undefined) return undefined;
    const topic = name(bytes, at, topicLength);
    at += topicLength;
    const event = eventLength === 0 ? undefined : name(bytes, at, eventLength);
    if (topic === undefined || (event !== undefined) !== ((flags & HAS_EVENT) !== 0)) return undefined;
    at += eventLength;
    const data = bytes.subarray(at, at + dataLength);
    at += dataLength;
    messages.push(new Message(epoch, seq, time, expires, { topic, event, json: (flags & JSON_DATA) !== 0, data }));
    last = seq;
  }
  // A length that reaches beyond the end ends up here too: what it measured was cut short, and `at` only grows.
  return at === bytes.length ? messages : undefined;
}

/** The largest time that a Date can hold; `toISOString` throws beyond it. */
const MAX_TIME = 8.64e15;

function isTime(value: number): boolean {
  return value >= 0 && value <= MAX_TIME;
}

function name(bytes: Buffer, at: number, length: number): string | undefined {
  const part = bytes.subarray(at, at + length);
  if (length === 0 || !isUtf8(part)) return undefined;
  const text = part.toString();
  return LINE_END.test(text) ? undefined : text;
}
