import type { KeyObject } from 'node:crypto';
import type { Message } from '../model/message.ts';
import { isProof, proof, PROOF_BYTES, type EnvelopeKeys } from './envelope-keys.ts';
import { ENVELOPE_MAX_BYTES, FLAG_EVENT, FLAG_JSON, MESSAGE_HEAD_BYTES, readMessages, type ReceivedMessages } from './received-messages.ts';

/**
 * The binary format of the bus, one envelope for one commit, or for each part of a large one:
 *
 *     version u8 | sender 8 bytes | count u32 | epoch length u8 | epoch | count messages | proof 16 bytes
 *     message: flags u8 | seq f64 | time f64 | expires f64 | topic length u16 | event length u32 | data length u32 | topic | event, if flagged | data
 *
 * Numbers are big-endian. All messages have the epoch of the envelope. An envelope of 13 bytes, with a count of 0, says: look at the head.
 *
 * Strangers may publish on the channel, too. The proof shows that the sender knows the secret of the epoch, which is in the log. It covers
 * all bytes before it (`envelope-keys.ts`). An envelope without a valid proof causes at most a look at the head, which needs no trust.
 * A repeated envelope brings the same messages under the same ids, which the tail has. An envelope for another log has an epoch that
 * this log does not have.
 */

/** Changes whenever the layout above does: instances of two versions meet on one bus during every deployment. Version 1 had no proof. */
const ENVELOPE_VERSION = 2;

/** A random number that marks an instance's own envelopes. */
export const SENDER_BYTES = 8;

/** The fixed part of an envelope, and of the lengths in a message. */
const ENVELOPE_HEAD_BYTES = 1 + SENDER_BYTES + 4;
const MESSAGE_LENGTHS_BYTES = 2 + 4 + 4;

export const EPOCH_FORM = /^[a-z0-9]{8,32}$/;

const MALFORMED_ENVELOPE: Envelope = { kind: 'malformed' };

export type Envelope =
  | { readonly kind: 'messages'; readonly messages: ReceivedMessages }
  /** `look`: something was committed that the envelope does not hold. */
  | { readonly kind: 'own' | 'look' }
  /**
   * These are refused. `other-version`: the layout is another one. `other-epoch`: the receiver knows no secret for the epoch, perhaps because the epoch is too
   * new. `forged`: the proof is wrong.
   */
  | { readonly kind: 'other-version' | 'other-epoch' | 'forged' | 'malformed' };

/** A larger commit travels as "look at the head": half of what may be unanswered. Stops a commit from taking all the room of those after it. */
const DIVIDED_MAX_BYTES = 4 * 1024 * 1024;

/** The messages of an envelope, and the key that proves them. */
export interface Carried {
  readonly epoch: string;
  readonly key: KeyObject;
  readonly messages: readonly Message[];
  /** How many bytes the envelope takes. */
  readonly bytes: number;
}

/** The messages of an envelope: all those of a commit, or of a part of it. No messages if they are too large or cannot be proved. */
export function carriedOf(messages: readonly Message[], keys: EnvelopeKeys): Carried | undefined {
  const { epoch } = messages[0]!;
  if (messages.some((message) => message.epoch !== epoch)) return undefined;
  const bytes = envelopeSize(epoch, messages);
  const key = bytes <= ENVELOPE_MAX_BYTES ? keys.of(epoch) : undefined;
  return key === undefined ? undefined : { epoch, key, messages, bytes };
}

/**
 * Divides a commit that is too large for one envelope. Commits grow under load, just when the other instances should not have to read them from the log. Each
 * part is as a commit of its own, and follows the one before. A message that is too large stands alone. A commit above the bound is not divided.
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

/** The envelopes of a commit, in order. The last one is undefined where not all of it can be: then the others have to look at the log. */
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

/** The envelope of one commit, or of a part. Without messages it says: look at the head. */
export function encode(sender: Buffer, carried: Carried | undefined): Buffer {
  const bytes = Buffer.allocUnsafe(carried?.bytes ?? ENVELOPE_HEAD_BYTES);
  bytes[0] = ENVELOPE_VERSION;
  sender.copy(bytes, 1);
  let at = bytes.writeUInt32BE(carried?.messages.length ?? 0, 1 + SENDER_BYTES);
  if (carried === undefined) return bytes;
  at = bytes.writeUInt8(carried.epoch.length, at);
  at += bytes.write(carried.epoch, at, 'latin1');
  for (const message of carried.messages) {
    bytes[at] = (message.json ? FLAG_JSON : 0) | (message.event === undefined ? 0 : FLAG_EVENT);
    at = bytes.writeDoubleBE(message.seq, at + 1);
    at = bytes.writeDoubleBE(message.time, at);
    at = bytes.writeDoubleBE(message.expires, at);
    const lengthsAt = at;
    at += MESSAGE_LENGTHS_BYTES;
    const topic = bytes.write(message.topic, at);
    at += topic;
    const event = message.event === undefined ? 0 : bytes.write(message.event, at);
    at += event;
    bytes.set(message.data, at);
    at += message.data.length;
    bytes.writeUInt16BE(topic, lengthsAt);
    bytes.writeUInt32BE(event, lengthsAt + 2);
    bytes.writeUInt32BE(message.data.length, lengthsAt + 6);
  }
  bytes.set(proof(carried.key, bytes.subarray(0, at)), at);
  return bytes;
}

/** Reads any bytes that came in on the bus. Never throws. */
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
