import { Message } from '../../../model/message.ts';
import { OUTCOME_CODE } from '../../outcome-code.ts';
import type { AppendRequest, Outcome } from '../../store.ts';

/**
 * How requests and messages cross between the main thread and a worker (sqlite.ts): all numbers in one typed array, all texts in one string, all data in one
 * `ArrayBuffer`. The array and the buffer are transferred, not copied. A structured clone of each message would cost more than storing it; of a
 * small `Buffer` it would copy the whole pool that the `Buffer` is a slice of.
 *
 * Two requests of one message each. The first has a key with a window of a day; the second message has an event name and a TTL of 60 seconds:
 *
 *     numbers   1  5  2  32  86400000 | 7  -1  2  0  1     1  -1  0  0  0 | 4  4  3  60  0
 *     text      alice  k1             | deploys            | logs  warn
 *     bytes     the key's fingerprint | 42                 | hot
 */

/** Requests and their messages, one after the other. `RequestReader` reads them. */
export interface PackedRequests {
  readonly requests: number;
  /** For each request: REQUEST_NUMBERS, then DRAFT_NUMBERS for each of its messages. */
  readonly numbers: Float64Array<ArrayBuffer>;
  /** For each request: the scope and the text of its key, then topic and event of each of its messages. */
  readonly text: string;
  /** For each request: the fingerprint of its key, then the data of each of its messages. */
  readonly bytes: ArrayBuffer;
}

/** Of a request: how many messages it has; the lengths of its key's scope, text and fingerprint; the key's window. Without a key: ABSENT, then zeros. */
const REQUEST_NUMBERS = 5;
/** Of a message: the lengths of its topic, event and data; its TTL in seconds; 1 if it is JSON. */
const DRAFT_NUMBERS = 5;
/** Stands for the length of an absent scope (no key) or event (the default name). */
const ABSENT = -1;

/** Packs everything but `step`: the job `appendStep` carries that beside the packed request. */
export function packRequests(requests: readonly AppendRequest[]): PackedRequests {
  let messages = 0;
  let total = 0;
  for (const { drafts, key } of requests) {
    messages += drafts.length;
    for (const { data } of drafts) total += data.length;
    if (key !== undefined) total += key.fingerprint.length;
  }
  const numbers = new Float64Array(requests.length * REQUEST_NUMBERS + messages * DRAFT_NUMBERS);
  const block = new Block(total);
  let text = '';
  let at = 0;
  for (const { drafts, key } of requests) {
    numbers[at++] = drafts.length;
    if (key === undefined) {
      numbers[at] = ABSENT;
      at += REQUEST_NUMBERS - 1;
    } else {
      numbers[at++] = key.scope.length;
      numbers[at++] = key.key.length;
      numbers[at++] = key.fingerprint.length;
      numbers[at++] = key.window;
      text += key.scope + key.key;
      block.add(key.fingerprint);
    }
    for (const { topic, event, data, ttl, json } of drafts) {
      numbers[at++] = topic.length;
      numbers[at++] = event === undefined ? ABSENT : event.length;
      numbers[at++] = data.length;
      numbers[at++] = ttl;
      numbers[at++] = json ? 1 : 0;
      text += topic;
      if (event !== undefined) text += event;
      block.add(data);
    }
  }
  return { requests: requests.length, numbers, text, bytes: block.bytes };
}

/**
 * Reads packed requests in their order. Call `next`; then call `nextMessage` exactly `messages` times, or `skipMessages` once; then `next` again.
 * Any other order of calls reads from wrong places.
 */
export class RequestReader {
  /** How many messages the present request has. */
  messages = 0;
  /** Whether the present request has a key. Otherwise the next four fields are those of an earlier request. */
  hasKey = false;
  scope = '';
  key = '';
  fingerprint: Buffer = Buffer.alloc(0);
  window = 0;
  /** The fields of the present message. */
  topic = '';
  event: string | null = null;
  data: Buffer = Buffer.alloc(0);
  ttl = 0;
  json = 0;
  readonly #numbers: Float64Array;
  readonly #text: string;
  readonly #bytes: Buffer;
  /** The indexes of the next number, character and byte. */
  #number = 0;
  #character = 0;
  #byte = 0;

  constructor({ numbers, text, bytes }: PackedRequests) {
    this.#numbers = numbers;
    this.#text = text;
    this.#bytes = Buffer.from(bytes);
  }

  /** Reads the next request, without its messages. Returns false after the last. */
  next(): boolean {
    if (this.#number === this.#numbers.length) return false;
    this.messages = this.#takeNumber();
    const scopeLength = this.#takeNumber();
    const keyLength = this.#takeNumber();
    const fingerprintLength = this.#takeNumber();
    const window = this.#takeNumber();
    this.hasKey = scopeLength !== ABSENT;
    if (!this.hasKey) return true;
    this.scope = this.#take(scopeLength);
    this.key = this.#take(keyLength);
    this.fingerprint = this.#takeBytes(fingerprintLength);
    this.window = window;
    return true;
  }

  nextMessage(): void {
    const topicLength = this.#takeNumber();
    const eventLength = this.#takeNumber();
    const dataLength = this.#takeNumber();
    this.ttl = this.#takeNumber();
    this.json = this.#takeNumber();
    this.topic = this.#take(topicLength);
    this.event = eventLength === ABSENT ? null : this.#take(eventLength);
    this.data = this.#takeBytes(dataLength);
  }

  skipMessages(): void {
    for (let count = 0; count < this.messages; count++) this.nextMessage();
  }

  #takeNumber(): number {
    return this.#numbers[this.#number++]!;
  }

  #take(length: number): string {
    return this.#text.slice(this.#character, this.#character += length);
  }

  #takeBytes(length: number): Buffer {
    return this.#bytes.subarray(this.#byte, this.#byte += length);
  }
}

/** For each request: its `OUTCOME_CODE`, then the id of the epoch, the first number and the time, which only `stored` and `replayed` have. */
export type PackedOutcomes = Float64Array<ArrayBuffer>;

export const OUTCOME_NUMBERS = 4;

export function unpackOutcomes(packed: PackedOutcomes, epochOf: (id: number) => string): Outcome[] {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < packed.length; at += OUTCOME_NUMBERS) {
    const code = packed[at]!;
    if (code === OUTCOME_CODE.conflict) outcomes.push({ kind: 'conflict' });
    else if (code === OUTCOME_CODE.outdated) outcomes.push({ kind: 'outdated' });
    else {
      const epochId = packed[at + 1]!;
      const first = packed[at + 2]!;
      const time = packed[at + 3]!;
      outcomes.push({ kind: code === OUTCOME_CODE.stored ? 'stored' : 'replayed', epoch: epochOf(epochId), first, time });
    }
  }
  return outcomes;
}

/** A row of `messages` as the driver returns it. */
export type MessageRow = [seq: number, epoch: number, time: number, expires: number, topic: string, event: string | null, json: number, data: Buffer];
/** Places in a `MessageRow`. Where one value of each row is read, an index costs less than to take the row apart. */
const TOPIC_COLUMN = 4;
const EVENT_COLUMN = 5;
const DATA_COLUMN = 7;

export interface PackedMessages {
  /** For each message: MESSAGE_NUMBERS. */
  readonly numbers: Float64Array<ArrayBuffer>;
  readonly topics: readonly string[];
  /** Undefined if every message has the default event name. */
  readonly events: readonly (string | null)[] | undefined;
  /** The data of all messages, one after the other. */
  readonly bytes: ArrayBuffer;
}

/** Of a message: seq, the id of its epoch, time, expires, json, the length of its data. */
const MESSAGE_NUMBERS = 6;

export function packMessages(rows: readonly MessageRow[]): PackedMessages {
  let total = 0;
  let hasEvents = false;
  for (const row of rows) {
    total += row[DATA_COLUMN].length;
    hasEvents ||= row[EVENT_COLUMN] !== null;
  }
  const numbers = new Float64Array(rows.length * MESSAGE_NUMBERS);
  const block = new Block(total);
  let at = 0;
  for (const [seq, epoch, time, expires, , , json, data] of rows) {
    numbers[at++] = seq;
    numbers[at++] = epoch;
    numbers[at++] = time;
    numbers[at++] = expires;
    numbers[at++] = json;
    numbers[at++] = data.length;
    block.add(data);
  }
  return { numbers, topics: rows.map((row) => row[TOPIC_COLUMN]), events: hasEvents ? rows.map((row) => row[EVENT_COLUMN]) : undefined, bytes: block.bytes };
}

export function unpackMessages({ numbers, topics, events, bytes }: PackedMessages, epochOf: (id: number) => string): Message[] {
  let offset = 0;
  return topics.map((topic, index) => {
    const at = index * MESSAGE_NUMBERS;
    const seq = numbers[at]!;
    const epochId = numbers[at + 1]!;
    const time = numbers[at + 2]!;
    const expires = numbers[at + 3]!;
    const json = numbers[at + 4] === 1;
    const length = numbers[at + 5]!;
    const data = Buffer.from(bytes, offset, length);
    offset += length;
    return new Message(epochOf(epochId), seq, time, expires, { topic, event: events?.[index] ?? undefined, json, data });
  });
}

/** Memory of its own, so that it can be transferred. `add` fills it from the front. */
class Block {
  readonly bytes: ArrayBuffer;
  readonly #view: Uint8Array;
  #end = 0;

  constructor(length: number) {
    this.bytes = new ArrayBuffer(length);
    this.#view = new Uint8Array(this.bytes);
  }

  add(data: Uint8Array): void {
    this.#view.set(data, this.#end);
    this.#end += data.length;
  }
}
