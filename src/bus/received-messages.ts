import { isUtf8 } from 'node:buffer';
import { EVENT_MAX_BYTES } from '../config/content-limits.ts';
import { checkEvent } from '../model/content.ts';
import { Message, messageBytes } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import { checkTopic } from '../model/topic.ts';
import { ownCopy } from '../runtime/memory.ts';
import { KnownTexts } from './known-texts.ts';
import {
  DATA_LENGTH_OFFSET_BYTES, ENVELOPE_MAX_BYTES, EVENT_LENGTH_OFFSET_BYTES, EXPIRES_OFFSET_BYTES, FLAG_EVENT, FLAG_JSON, FLAGS_OFFSET_BYTES, MESSAGE_HEAD_BYTES, SEQ_OFFSET_BYTES, TIME_OFFSET_BYTES, TOPIC_LENGTH_OFFSET_BYTES,
} from './message-layout.ts';

const KNOWN_FLAGS = FLAG_JSON | FLAG_EVENT;

/** The latest time that a Date can hold. Stops a later one from reaching `toISOString`, which would throw. */
const DATE_MAX_MS = 8.64e15;

const TOPICS = new KnownTexts((topic) => isAccepted(() => checkTopic(topic)));
const EVENTS = new KnownTexts((event) => isAccepted(() => checkEvent(event, EVENT_MAX_BYTES)));

/** A scratch copy of the envelope that is checked. Checks are synchronous, so they share it, and a check allocates no buffer. */
const CHECKED = Buffer.allocUnsafeSlow(ENVELOPE_MAX_BYTES);
const CHECKED_HEADS = new DataView(CHECKED.buffer);

/**
 * The checked messages of an envelope, still as bytes. Readers want few of the messages that an instance receives. So only `at` makes an object, and a new one at
 * each call.
 */
export class ReceivedMessages implements Iterable<Message> {
  readonly epoch: string;
  /** The number of the first message. */
  readonly first: number;
  /** The number of the last message. */
  readonly last: number;
  /** Whether the numbers have no hole, and the times do not decrease. */
  readonly isRun: boolean;
  readonly #bytes: Buffer;
  /** A view of `#bytes`: it reads numbers faster than a Buffer does. */
  readonly #heads: DataView;
  /** The offset of each message in `#bytes`. */
  readonly #begins: readonly number[];
  readonly #topics: readonly string[];

  constructor({ epoch, isRun, bytes, begins, topics }: { readonly epoch: string; readonly isRun: boolean; readonly bytes: Buffer; readonly begins: readonly number[]; readonly topics: readonly string[] }) {
    this.epoch = epoch;
    this.isRun = isRun;
    this.#bytes = bytes;
    this.#heads = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#begins = begins;
    this.#topics = topics;
    this.first = this.#seqAt(0);
    this.last = this.#seqAt(begins.length - 1);
  }

  get length(): number {
    return this.#begins.length;
  }

  /** The memory block of all messages of this envelope. */
  get block(): ArrayBufferLike {
    return this.#bytes.buffer;
  }

  timeAt(index: number): number {
    return this.#heads.getFloat64(this.#begins[index]! + TIME_OFFSET_BYTES);
  }

  topicAt(index: number): string {
    return this.#topics[index]!;
  }

  /** The bytes of memory that the message would take as an object. */
  sizeAt(index: number): number {
    return messageBytes(this.#topics[index]!, this.#heads.getUint32(this.#begins[index]! + DATA_LENGTH_OFFSET_BYTES));
  }

  at(index: number): Message {
    const bytes = this.#bytes;
    const heads = this.#heads;
    const begin = this.#begins[index]!;
    const flags = heads.getUint8(begin + FLAGS_OFFSET_BYTES);
    const eventAt = begin + MESSAGE_HEAD_BYTES + heads.getUint16(begin + TOPIC_LENGTH_OFFSET_BYTES);
    const dataAt = eventAt + heads.getUint32(begin + EVENT_LENGTH_OFFSET_BYTES);
    return new Message(this.epoch, this.#seqAt(index), this.timeAt(index), heads.getFloat64(begin + EXPIRES_OFFSET_BYTES), {
      topic: this.#topics[index]!,
      event: (flags & FLAG_EVENT) === 0 ? undefined : bytes.toString('utf8', eventAt, dataAt),
      json: (flags & FLAG_JSON) !== 0,
      data: bytes.subarray(dataAt, dataAt + heads.getUint32(begin + DATA_LENGTH_OFFSET_BYTES)),
    });
  }

  *[Symbol.iterator](): Generator<Message> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  #seqAt(index: number): number {
    return this.#heads.getFloat64(this.#begins[index]! + SEQ_OFFSET_BYTES);
  }
}

/**
 * Checks the messages of an envelope, with the topic and event checks of a publish, because an authenticated sender can still be buggy. Does not parse JSON: the sender has done so, and parsing
 * would cost several times as much as all other checks.
 * @param bytes At most `ENVELOPE_MAX_BYTES`
 * @returns undefined if a message is malformed
 */
export function readMessages(bytes: Uint8Array, count: number, epoch: string): ReceivedMessages | undefined {
  if (count * MESSAGE_HEAD_BYTES > bytes.length) return undefined;
  CHECKED.set(bytes);
  const begins = new Array<number>(count);
  const topics = new Array<string>(count);
  let at = 0;
  let last = 0;
  let lastTime = 0;
  let isRun = true;
  for (let index = 0; index < count; index++) {
    if (at + MESSAGE_HEAD_BYTES > bytes.length) return undefined;
    const flags = CHECKED[at + FLAGS_OFFSET_BYTES]!;
    const seq = CHECKED_HEADS.getFloat64(at + SEQ_OFFSET_BYTES);
    const time = CHECKED_HEADS.getFloat64(at + TIME_OFFSET_BYTES);
    if ((flags & ~KNOWN_FLAGS) !== 0 || !Number.isSafeInteger(seq) || seq <= last || !isTime(time) || !isTime(CHECKED_HEADS.getFloat64(at + EXPIRES_OFFSET_BYTES))) return undefined;
    const topicAt = at + MESSAGE_HEAD_BYTES;
    const eventAt = topicAt + CHECKED_HEADS.getUint16(at + TOPIC_LENGTH_OFFSET_BYTES);
    const dataAt = eventAt + CHECKED_HEADS.getUint32(at + EVENT_LENGTH_OFFSET_BYTES);
    const end = dataAt + CHECKED_HEADS.getUint32(at + DATA_LENGTH_OFFSET_BYTES);
    if (end > bytes.length) return undefined;
    const topic = TOPICS.read(CHECKED, topicAt, eventAt);
    if (topic === undefined || !isEvent((flags & FLAG_EVENT) !== 0, eventAt, dataAt)) return undefined;
    begins[index] = at;
    topics[index] = topic;
    zeroHead(at);
    isRun &&= (index === 0 || seq === last + 1) && time >= lastTime;
    last = seq;
    lastTime = time;
    at = end;
  }
  // The heads are zero now, and topics and events were checked: so this call fails only for data that is not UTF-8. One check costs far less than one for each message.
  if (at !== bytes.length || !isUtf8(CHECKED.subarray(0, at))) return undefined;
  // The input is a slice of a large read from the socket. Without a copy, a small message would keep the whole read in memory.
  return new ReceivedMessages({ epoch, isRun, bytes: ownCopy(bytes), begins, topics });
}

function isEvent(isFlagged: boolean, from: number, to: number): boolean {
  return isFlagged ? EVENTS.read(CHECKED, from, to) !== undefined : from === to;
}

/** Overwrites a checked head with zeros, which are valid UTF-8. */
function zeroHead(at: number): void {
  CHECKED[at + FLAGS_OFFSET_BYTES] = 0;
  CHECKED_HEADS.setFloat64(at + SEQ_OFFSET_BYTES, 0);
  CHECKED_HEADS.setFloat64(at + TIME_OFFSET_BYTES, 0);
  CHECKED_HEADS.setFloat64(at + EXPIRES_OFFSET_BYTES, 0);
  CHECKED_HEADS.setUint16(at + TOPIC_LENGTH_OFFSET_BYTES, 0);
  CHECKED_HEADS.setUint32(at + EVENT_LENGTH_OFFSET_BYTES, 0);
  CHECKED_HEADS.setUint32(at + DATA_LENGTH_OFFSET_BYTES, 0);
}

function isTime(value: number): boolean {
  return value >= 0 && value <= DATE_MAX_MS;
}

function isAccepted(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof Problem) return false;
    throw error;
  }
}
