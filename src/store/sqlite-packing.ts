import { Message } from '../message.ts';
import type { AppendRequest, Outcome } from './store.ts';

/**
 * How lists of requests and messages cross between threads: numbers in one typed array, all data in one block of
 * memory that is handed over and not copied. A structured clone of each message would cost more than storing it, and
 * one of a small `Buffer` copies the whole pool that it lies in.
 */

export interface PackedRequests {
  /** How many messages each request has. */
  readonly counts: Uint32Array;
  /** Of each message: the bytes of its data, its TTL in seconds, 1 if it is JSON. */
  readonly numbers: Float64Array;
  readonly topics: readonly string[];
  /** undefined when every message has the default event name. */
  readonly events: readonly (string | undefined)[] | undefined;
  /** In the order of their requests. */
  readonly keys: readonly PackedKey[];
  /** The data of every message, then the fingerprint of every key. */
  readonly bytes: ArrayBuffer;
}

export interface PackedKey {
  readonly request: number;
  readonly scope: string;
  readonly key: string;
  readonly window: number;
  /** The length of its fingerprint. */
  readonly length: number;
}

/** Numbers of each message in `PackedRequests.numbers`. */
export const DRAFT_NUMBERS = 3;

export function packRequests(requests: readonly AppendRequest[]): PackedRequests {
  let messages = 0;
  let total = 0;
  let named = false;
  for (const { drafts, key } of requests) {
    messages += drafts.length;
    for (const draft of drafts) {
      total += draft.data.length;
      named ||= draft.event !== undefined;
    }
    if (key !== undefined) total += key.fingerprint.length;
  }
  const counts = new Uint32Array(requests.length);
  const numbers = new Float64Array(messages * DRAFT_NUMBERS);
  const topics: string[] = [];
  const events: (string | undefined)[] | undefined = named ? [] : undefined;
  const keys: PackedKey[] = [];
  const block = new Block(total);
  let at = 0;
  requests.forEach(({ drafts, key }, request) => {
    counts[request] = drafts.length;
    for (const draft of drafts) {
      numbers[at++] = draft.data.length;
      numbers[at++] = draft.ttl;
      numbers[at++] = draft.json ? 1 : 0;
      topics.push(draft.topic);
      events?.push(draft.event);
      block.add(draft.data);
    }
    if (key !== undefined) keys.push({ request, scope: key.scope, key: key.key, window: key.window, length: key.fingerprint.length });
  });
  for (const { key } of requests) if (key !== undefined) block.add(key.fingerprint);
  return { counts, numbers, topics, events, keys, bytes: block.bytes };
}

/** What became of each request, four numbers each: kind, epoch id, first number, time. */
export type PackedOutcomes = Float64Array<ArrayBuffer>;

export const OUTCOME_NUMBERS = 4;
export const STORED = 0;
export const REPLAYED = 1;
export const CONFLICT = 2;

export function unpackOutcomes(packed: PackedOutcomes, epochOf: (id: number) => string): Outcome[] {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < packed.length; at += OUTCOME_NUMBERS) {
    if (packed[at] === CONFLICT) outcomes.push({ kind: 'conflict' });
    else outcomes.push({ kind: packed[at] === STORED ? 'stored' : 'replayed', epoch: epochOf(packed[at + 1]!), first: packed[at + 2]!, time: packed[at + 3]! });
  }
  return outcomes;
}

/** A row of `messages` as the driver hands it over. */
export type MessageRow = [seq: number, epoch: number, time: number, expires: number, topic: string, event: string | null, json: number, data: Buffer];

export interface PackedMessages {
  /** Of each message: seq, epoch id, time, expires, json, the bytes of its data. */
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
