import { isUtf8 } from 'node:buffer';
import { Message } from '../model/message.ts';
import { ownCopy } from '../runtime/memory.ts';

/**
 * The binary format of the bus, one envelope for one commit:
 *
 *     version u8 | sender 8 bytes | count u32 | count messages
 *     message: flags u8 | seq f64 | time f64 | expires f64 | topic length u16 | event length u32 | data length u32
 *              | epoch length u8 and epoch, if flagged | topic | event, if flagged | data
 *
 * Numbers are big-endian. A message without an epoch has the epoch of the message before it. A count of 0 means: look at the head.
 */

/** Changes whenever the layout above does: instances of two versions meet on one bus during every deployment. */
const ENVELOPE_VERSION = 1;

/** The random number by which an instance knows its own envelopes. */
export const SENDER_BYTES = 8;

/** The fixed part of an envelope, of the lengths in a message, and of a message. */
const ENVELOPE_HEAD_BYTES = 1 + SENDER_BYTES + 4;
const MESSAGE_LENGTHS_BYTES = 2 + 4 + 4;
const MESSAGE_HEAD_BYTES = 1 + 8 + 8 + 8 + MESSAGE_LENGTHS_BYTES;

const FLAG_JSON = 1;
const FLAG_EVENT = 2;
const FLAG_EPOCH = 4;
const KNOWN_FLAGS = FLAG_JSON | FLAG_EVENT | FLAG_EPOCH;

const EPOCH_FORM = /^[a-z0-9]{8,32}$/;

/** Stops a topic or an event name from the bus from ending a line of a frame. */
const LINE_BREAK_OR_NUL = /[\r\n\0]/;

/** The latest time that a Date can hold. Stops a later one from reaching `toISOString`, which would throw. */
const DATE_MAX_MS = 8.64e15;

const MALFORMED_ENVELOPE: Envelope = { kind: 'malformed' };

export type Envelope =
  | { readonly kind: 'messages'; readonly messages: readonly Message[] }
  /** Something was committed that the envelope does not hold: too large for it, or in the layout of another version. */
  | { readonly kind: 'look' | 'other-version' }
  | { readonly kind: 'own' | 'malformed' };

/** How many bytes `encode` needs for these messages, or a little more. */
export function envelopeSize(messages: readonly Message[]): number {
  let size = ENVELOPE_HEAD_BYTES;
  for (const { epoch, topic, event, data } of messages) {
    size += MESSAGE_HEAD_BYTES + 1 + epoch.length + Buffer.byteLength(topic) + (event === undefined ? 0 : Buffer.byteLength(event)) + data.length;
  }
  return size;
}

/** A larger commit travels as "look at the head". Stops large messages from crossing the bus once for each instance and delaying the small ones after them. */
const ENVELOPE_MAX_BYTES = 1024 * 1024;

/** What an envelope carries of a commit: all of its messages, or none where they are too large; and the bytes that they take, or a little more. */
export function carriedOf(messages: readonly Message[]): { readonly messages: readonly Message[]; readonly bytes: number } {
  const bytes = envelopeSize(messages);
  return bytes <= ENVELOPE_MAX_BYTES ? { messages, bytes } : { messages: [], bytes: 0 };
}

/** The envelope of one commit's messages. Without messages it says: look at the head. */
export function encode(sender: Buffer, messages: readonly Message[]): Buffer {
  const bytes = Buffer.allocUnsafe(envelopeSize(messages));
  bytes[0] = ENVELOPE_VERSION;
  sender.copy(bytes, 1);
  let at = bytes.writeUInt32BE(messages.length, 1 + SENDER_BYTES);
  let epoch = '';
  for (const message of messages) {
    const flagsAt = at;
    let flags = message.json ? FLAG_JSON : 0;
    at = bytes.writeDoubleBE(message.seq, at + 1);
    at = bytes.writeDoubleBE(message.time, at);
    at = bytes.writeDoubleBE(message.expires, at);
    const lengthsAt = at;
    at += MESSAGE_LENGTHS_BYTES;
    if (message.epoch !== epoch) {
      epoch = message.epoch;
      flags |= FLAG_EPOCH;
      at = bytes.writeUInt8(epoch.length, at);
      at += bytes.write(epoch, at, 'latin1');
    }
    const topic = bytes.write(message.topic, at);
    at += topic;
    let event = 0;
    if (message.event !== undefined) {
      flags |= FLAG_EVENT;
      event = bytes.write(message.event, at);
      at += event;
    }
    bytes.set(message.data, at);
    at += message.data.length;
    bytes[flagsAt] = flags;
    bytes.writeUInt16BE(topic, lengthsAt);
    bytes.writeUInt32BE(event, lengthsAt + 2);
    bytes.writeUInt32BE(message.data.length, lengthsAt + 6);
  }
  return bytes.subarray(0, at);
}

/** Reads any bytes that came in on the bus. Never throws. */
export function decode(payload: Buffer, sender: Buffer): Envelope {
  if (payload.length < 1) return MALFORMED_ENVELOPE;
  if (payload[0] !== ENVELOPE_VERSION) return { kind: 'other-version' };
  if (payload.length < ENVELOPE_HEAD_BYTES) return MALFORMED_ENVELOPE;
  if (payload.compare(sender, 0, SENDER_BYTES, 1, 1 + SENDER_BYTES) === 0) return { kind: 'own' };
  const count = payload.readUInt32BE(1 + SENDER_BYTES);
  if (count === 0) return payload.length === ENVELOPE_HEAD_BYTES ? { kind: 'look' } : MALFORMED_ENVELOPE;
  // The payload is a slice of one large read from the socket. Without a copy, a small message would hold all of that read in memory.
  const messages = decodeMessages(ownCopy(payload), count);
  return messages === undefined ? MALFORMED_ENVELOPE : { kind: 'messages', messages };
}

function decodeMessages(bytes: Buffer, count: number): Message[] | undefined {
  const messages: Message[] = [];
  let at = ENVELOPE_HEAD_BYTES;
  let epoch: string | undefined;
  let last = 0;
  for (let index = 0; index < count; index++) {
    if (at + MESSAGE_HEAD_BYTES > bytes.length) return undefined;
    const flags = bytes[at]!;
    const seq = bytes.readDoubleBE(at + 1);
    const time = bytes.readDoubleBE(at + 9);
    const expires = bytes.readDoubleBE(at + 17);
    const topicLength = bytes.readUInt16BE(at + 25);
    const eventLength = bytes.readUInt32BE(at + 27);
    const dataLength = bytes.readUInt32BE(at + 31);
    at += MESSAGE_HEAD_BYTES;
    if ((flags & ~KNOWN_FLAGS) !== 0 || !Number.isSafeInteger(seq) || seq <= last || !isTime(time) || !isTime(expires)) return undefined;
    if ((flags & FLAG_EPOCH) !== 0) {
      const length = bytes[at] ?? 0;
      epoch = bytes.toString('latin1', at + 1, at + 1 + length);
      at += 1 + length;
      if (!EPOCH_FORM.test(epoch)) return undefined;
    }
    if (epoch === undefined) return undefined;
    const topic = readName(bytes, at, topicLength);
    at += topicLength;
    const event = eventLength === 0 ? undefined : readName(bytes, at, eventLength);
    if (topic === undefined || (event !== undefined) !== ((flags & FLAG_EVENT) !== 0)) return undefined;
    at += eventLength;
    const data = bytes.subarray(at, at + dataLength);
    at += dataLength;
    messages.push(new Message(epoch, seq, time, expires, { topic, event, json: (flags & FLAG_JSON) !== 0, data }));
    last = seq;
  }
  // A length that reaches beyond the end fails here too: `subarray` cut its part short, and `at` went past the end.
  return at === bytes.length ? messages : undefined;
}

function isTime(value: number): boolean {
  return value >= 0 && value <= DATE_MAX_MS;
}

function readName(bytes: Buffer, at: number, length: number): string | undefined {
  const part = bytes.subarray(at, at + length);
  if (length === 0 || !isUtf8(part)) return undefined;
  const text = part.toString();
  return LINE_BREAK_OR_NUL.test(text) ? undefined : text;
}
