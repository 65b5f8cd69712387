import type { KeyObject } from 'node:crypto';
import type { Message } from '../model/message.ts';
import { isProof, proof, PROOF_BYTES, type EnvelopeKeys } from './envelope-keys.ts';
import {
  DATA_LENGTH_OFFSET_BYTES, ENVELOPE_MAX_BYTES, EVENT_LENGTH_OFFSET_BYTES, EXPIRES_OFFSET_BYTES, FLAG_EVENT, FLAG_JSON, FLAGS_OFFSET_BYTES, MESSAGE_HEAD_BYTES, SEQ_OFFSET_BYTES, TIME_OFFSET_BYTES, TOPIC_LENGTH_OFFSET_BYTES,
} from './message-layout.ts';
import { readMessages, type ReceivedMessages } from './received-messages.ts';

/**
 * The binary format of the bus, one envelope for one commit, or for each part of a large one:
 *
 *     version u8 | sender 8 bytes | count u32 | epoch length u8 | epoch | count messages (`message-layout.ts`) | proof 16 bytes
 *
 * Numbers are big-endian. All messages have the epoch of the envelope. An envelope of 13 bytes, with a count of 0, says: look at the head.
 *
 * Strangers may publish on the channel, too. The proof shows that the sender knows the secret of the epoch, and only readers of the log know that.
 * It covers all bytes before it (`envelope-keys.ts`). An envelope without a valid proof causes at most a look at the head, which needs no trust.
 * A repeated envelope does no harm: the tail has its messages already. An envelope for another log has an unknown epoch.
 */

/** Increase it with each change of a layout: instances of two versions share one bus during a deployment. Version 1 had no proof. */
const ENVELOPE_VERSION = 2;

/** The random number of the sending instance, by which it ignores its own envelopes. */
export const SENDER_BYTES = 8;

/** The fixed part of an envelope: version, sender, count. */
const ENVELOPE_HEAD_BYTES = 1 + SENDER_BYTES + 4;

export const EPOCH_FORM = /^[a-z0-9]{8,32}$/;

const MALFORMED_ENVELOPE: Envelope = { kind: 'malformed' };

export type Envelope =
  | { readonly kind: 'messages'; readonly messages: ReceivedMessages }
  /** `look`: a commit whose messages are not in the envelope. `own`: this instance sent it. */
  | { readonly kind: 'own' | 'look' }
  /**
   * These are refused. `other-version`: the layout is another one. `other-epoch`: the receiver knows no secret for the epoch, perhaps because the epoch is too
   * new. `forged`: the proof is wrong.
   */
  | { readonly kind: 'other-version' | 'other-epoch' | 'forged' | 'malformed' };

/** A larger commit is not divided into envelopes: one envelope says "look at the head". It is half of the bytes that may be unanswered, so that one commit does not use them up. */
const DIVIDED_MAX_BYTES = 4 * 1024 * 1024;

/** The contents of one envelope to send: messages of one epoch, and the key of its proof. */
export interface Carried {
  readonly epoch: string;
  readonly key: KeyObject;
  readonly messages: readonly Message[];
  /** The length of the envelope. */
  readonly bytes: number;
}

/** @param messages A commit, or a part of it. @returns Undefined if the messages do not fit into one envelope, have several epochs, or cannot be proved. */
export function carriedOf(messages: readonly Message[], keys: EnvelopeKeys): Carried | undefined {
  const { epoch } = messages[0]!;
  if (messages.some((message) => message.epoch !== epoch)) return undefined;
  const bytes = envelopeSize(epoch, messages);
  const key = bytes <= ENVELOPE_MAX_BYTES ? keys.of(epoch) : undefined;
  return key === undefined ? undefined : { epoch, key, messages, bytes };
}

/**
 * Divides a commit that is too large for one envelope into parts, in order. Commits are large under load, and then the other instances should not have to read them from the log.
 * A message that is too large for an envelope is a part of its own. A commit above `DIVIDED_MAX_BYTES` is one part.
 */
export function partsOf(messages: readonly Message[]): readonly (readonly Message[])[] {
  const parts: Message[][] = [];
  let bytes = Infinity;
  let total = 0;
  for (const message of messages) {
    const size = messageSize(message);
    if (bytes + size > ENVELOPE_MAX_BYTES) {
      parts.push([]);
      bytes = envelopeSize(message.epoch, []);
    }
    parts.at(-1)!.push(message);
    bytes += size;
    total += size;
  }
  return total > DIVIDED_MAX_BYTES ? [messages] : parts;
}

/** The envelopes of a commit, in order. If some of its messages are in none of them, the last is undefined: send a "look at the head". */
export function envelopesOf(messages: readonly Message[], keys: EnvelopeKeys): readonly (Carried | undefined)[] {
  const whole = carriedOf(messages, keys);
  if (whole !== undefined) return [whole];
  const parts = partsOf(messages).map((part) => carriedOf(part, keys));
  const carried = parts.filter((part) => part !== undefined);
  return carried.length === parts.length ? carried : [...carried, undefined];
}

function envelopeSize(epoch: string, messages: readonly Message[]): number {
  let size = ENVELOPE_HEAD_BYTES + 1 + epoch.length + PROOF_BYTES;
  for (const message of messages) size += messageSize(message);
  return size;
}

function messageSize({ topic, event, data }: Message): number {
  return MESSAGE_HEAD_BYTES + Buffer.byteLength(topic) + (event === undefined ? 0 : Buffer.byteLength(event)) + data.length;
}

/** Makes an envelope. @param carried Undefined for a "look at the head". */
export function encode(sender: Buffer, carried: Carried | undefined): Buffer {
  const bytes = Buffer.allocUnsafe(carried?.bytes ?? ENVELOPE_HEAD_BYTES);
  bytes[0] = ENVELOPE_VERSION;
  sender.copy(bytes, 1);
  let at = bytes.writeUInt32BE(carried?.messages.length ?? 0, 1 + SENDER_BYTES);
  if (carried === undefined) return bytes;
  at = bytes.writeUInt8(carried.epoch.length, at);
  at += bytes.write(carried.epoch, at, 'latin1');
  for (const message of carried.messages) {
    at = encodeMessage(bytes, at, message);
  }
  bytes.set(proof(carried.key, bytes.subarray(0, at)), at);
  return bytes;
}

/** @returns The offset after the message. */
function encodeMessage(bytes: Buffer, at: number, { seq, time, expires, topic, event, json, data }: Message): number {
  bytes[at + FLAGS_OFFSET_BYTES] = (json ? FLAG_JSON : 0) | (event === undefined ? 0 : FLAG_EVENT);
  bytes.writeDoubleBE(seq, at + SEQ_OFFSET_BYTES);
  bytes.writeDoubleBE(time, at + TIME_OFFSET_BYTES);
  bytes.writeDoubleBE(expires, at + EXPIRES_OFFSET_BYTES);
  const topicAt = at + MESSAGE_HEAD_BYTES;
  const topicBytes = bytes.write(topic, topicAt);
  const eventBytes = event === undefined ? 0 : bytes.write(event, topicAt + topicBytes);
  const dataAt = topicAt + topicBytes + eventBytes;
  bytes.set(data, dataAt);
  bytes.writeUInt16BE(topicBytes, at + TOPIC_LENGTH_OFFSET_BYTES);
  bytes.writeUInt32BE(eventBytes, at + EVENT_LENGTH_OFFSET_BYTES);
  bytes.writeUInt32BE(data.length, at + DATA_LENGTH_OFFSET_BYTES);
  return dataAt + data.length;
}

/** Reads any bytes from the bus. Never throws. */
export function decode(payload: Buffer, sender: Buffer, keys: EnvelopeKeys): Envelope {
  if (payload.length < 1) return MALFORMED_ENVELOPE;
  if (payload[0] !== ENVELOPE_VERSION) return { kind: 'other-version' };
  if (payload.length < ENVELOPE_HEAD_BYTES || payload.length > ENVELOPE_MAX_BYTES) return MALFORMED_ENVELOPE;
  if (payload.compare(sender, 0, SENDER_BYTES, 1, 1 + SENDER_BYTES) === 0) return { kind: 'own' };
  const count = payload.readUInt32BE(1 + SENDER_BYTES);
  if (count === 0) return payload.length === ENVELOPE_HEAD_BYTES ? { kind: 'look' } : MALFORMED_ENVELOPE;
  const messagesAt = ENVELOPE_HEAD_BYTES + 1 + (payload[ENVELOPE_HEAD_BYTES] ?? 0);
  const proofAt = payload.length - PROOF_BYTES;
  const epoch = payload.toString('latin1', ENVELOPE_HEAD_BYTES + 1, messagesAt);
  if (messagesAt > proofAt || !EPOCH_FORM.test(epoch)) return MALFORMED_ENVELOPE;
  const key = keys.of(epoch);
  if (key === undefined) return { kind: 'other-epoch' };
  if (!isProof(key, payload.subarray(0, proofAt), payload.subarray(proofAt))) return { kind: 'forged' };
  const messages = readMessages(payload.subarray(messagesAt, proofAt), count, epoch);
  return messages === undefined ? MALFORMED_ENVELOPE : { kind: 'messages', messages };
}
