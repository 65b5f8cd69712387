import { Message } from '../../../model/message.ts';
import type { AppendRequest, Outcome } from '../../store.ts';

/**
 * How lists of requests and messages cross between threads. Numbers are in one typed array and texts in one string. All data is in one block of memory, which
 * is transferred without a copy. A structured clone of each message would cost more than storing it. The clone of a small `Buffer` copies its whole pool.
 */

/** Requests and their messages, one after the other. `Requests` walks over them. */
export interface PackedRequests {
  readonly requests: number;
  /** For each request: REQUEST_NUMBERS, then DRAFT_NUMBERS for each of its messages. */
  readonly numbers: Float64Array<ArrayBuffer>;
  /** For each request: its key's scope and name, then topic and event of each of its messages. */
  readonly text: string;
  /** For each request: its key's fingerprint, then the data of each of its messages. */
  readonly bytes: ArrayBuffer;
}

/** How many messages; the lengths of scope, name and fingerprint; the window. */
const REQUEST_NUMBERS = 5;
/** The lengths of topic, event and data; the TTL in seconds; 1 if it is JSON. */
const DRAFT_NUMBERS = 5;
/** The length that stands for an absent value: no key, or the default event name. */
const ABSENT = -1;

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
      numbers[at++] = ABSENT;
      at += 3;
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

/** Walks over packed requests: `next` goes to the next request, if there is one, and then each `nextDraft` to the next of its messages. */
export class Requests {
  /** How many messages the request has. */
  messages = 0;
  /** Whether it has a key. Without one, the four fields below mean nothing. */
  hasKey = false;
  scope = '';
  key = '';
  fingerprint: Buffer = Buffer.alloc(0);
  window = 0;
  /** The message. */
  topic = '';
  event: string | null = null;
  data: Buffer = Buffer.alloc(0);
  ttl = 0;
  json = 0;
  readonly #numbers: Float64Array;
  readonly #text: string;
  readonly #bytes: Buffer;
  #number = 0;
  #character = 0;
  #byte = 0;

  constructor({ numbers, text, bytes }: PackedRequests) {
    this.#numbers = numbers;
    this.#text = text;
    this.#bytes = Buffer.from(bytes);
  }

  next(): boolean {
    if (this.#number === this.#numbers.length) return false;
    const scopeLength = this.#numbers[this.#number + 1]!;
    this.messages = this.#numbers[this.#number]!;
    this.hasKey = scopeLength !== ABSENT;
    if (this.hasKey) {
      this.scope = this.#take(scopeLength);
      this.key = this.#take(this.#numbers[this.#number + 2]!);
      this.fingerprint = this.#takeBytes(this.#numbers[this.#number + 3]!);
      this.window = this.#numbers[this.#number + 4]!;
    }
    this.#number += REQUEST_NUMBERS;
    return true;
  }

  nextDraft(): void {
    const eventLength = this.#numbers[this.#number + 1]!;
    this.topic = this.#take(this.#numbers[this.#number]!);
    this.event = eventLength === ABSENT ? null : this.#take(eventLength);
    this.data = this.#takeBytes(this.#numbers[this.#number + 2]!);
    this.ttl = this.#numbers[this.#number + 3]!;
    this.json = this.#numbers[this.#number + 4]!;
    this.#number += DRAFT_NUMBERS;
  }

  /** Skips the request's messages. */
  passOver(): void {
    for (let count = 0; count < this.messages; count++) this.nextDraft();
  }

  #take(length: number): string {
    return this.#text.slice(this.#character, this.#character += length);
  }

  #takeBytes(length: number): Buffer {
    return this.#bytes.subarray(this.#byte, this.#byte += length);
  }
}

/** The outcome of each request, four numbers each: kind, epoch id, first number, time. */
export type PackedOutcomes = Float64Array<ArrayBuffer>;

export const OUTCOME_NUMBERS = 4;
export const STORED_CODE = 0;
export const REPLAYED_CODE = 1;
export const CONFLICT_CODE = 2;
export const OUTDATED_CODE = 3;

export function unpackOutcomes(packed: PackedOutcomes, epochOf: (id: number) => string): Outcome[] {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < packed.length; at += OUTCOME_NUMBERS) {
    if (packed[at] === CONFLICT_CODE) outcomes.push({ kind: 'conflict' });
    else if (packed[at] === OUTDATED_CODE) outcomes.push({ kind: 'outdated' });
    else outcomes.push({ kind: packed[at] === STORED_CODE ? 'stored' : 'replayed', epoch: epochOf(packed[at + 1]!), first: packed[at + 2]!, time: packed[at + 3]! });
  }
  return outcomes;
}

/** A row of `messages` as the driver hands it over. */
export type MessageRow = [seq: number, epoch: number, time: number, expires: number, topic: string, event: string | null, json: number, data: Buffer];

export interface PackedMessages {
  /** For each message: seq, epoch id, time, expires, json, the bytes of its data. */
  readonly numbers: Float64Array<ArrayBuffer>;
  readonly topics: readonly string[];
  readonly events: readonly (string | null)[] | undefined;
  readonly bytes: ArrayBuffer;
}

const MESSAGE_NUMBERS = 6;

export function packMessages(rows: readonly MessageRow[]): PackedMessages {
  let total = 0;
  let named = false;
  for (const row of rows) {
    total += row[7].length;
    named ||= row[5] !== null;
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
  return { numbers, topics: rows.map((row) => row[4]), events: named ? rows.map((row) => row[5]) : undefined, bytes: block.bytes };
}

export function unpackMessages({ numbers, topics, events, bytes }: PackedMessages, epochOf: (id: number) => string): Message[] {
  let offset = 0;
  return topics.map((topic, index) => {
    const at = index * MESSAGE_NUMBERS;
    const length = numbers[at + 5]!;
    const data = Buffer.from(bytes, offset, length);
    offset += length;
    return new Message(epochOf(numbers[at + 1]!), numbers[at]!, numbers[at + 2]!, numbers[at + 3]!, {
      topic, event: events?.[index] ?? undefined, json: numbers[at + 4] === 1, data,
    });
  });
}

/** A block of memory of its own, filled from the front. */
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
