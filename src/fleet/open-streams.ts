import type { StreamHandles } from '../access/leases/stream-handles.ts';
import type { Reader } from '../delivery/reader/reader.ts';
import { formatId, type Position } from '../model/position.ts';
import { isPattern, matches, type Filter } from '../model/topic.ts';
import type { Clock } from '../runtime/clock.ts';
import { InTurns } from '../runtime/in-turns.ts';

/** How long a walk may use one turn of the event loop. Stops a question about 50,000 streams from delaying messages. */
const LIST_TURN_MS = 2;
/** The most bytes of one stream's topics in a list. Stops one stream with a thousand topics from filling a note between instances. */
const SHOWN_TOPICS_MAX_BYTES = 4_096;
/** The comma of a row in a list. */
const ROW_OVERHEAD_BYTES = 2;

/** Which streams to list. An absent field matches all. */
export interface StreamQuery {
  /** The id of a member. */
  readonly member?: string | undefined;
  /** The name of a credential. */
  readonly credential?: string | undefined;
  /** A topic or pattern: see `wants`. */
  readonly topic?: string | undefined;
  /** Only streams that are behind. */
  readonly isBehind?: boolean | undefined;
}

/** A stream for administrators. */
export interface StreamRow {
  readonly id: string;
  readonly member?: string | undefined;
  readonly credential?: string | undefined;
  readonly topics: readonly string[];
  /** How many more topics it has. */
  readonly moreTopics?: number | undefined;
  readonly instance: string;
  readonly opened: string;
  readonly address?: string | undefined;
  readonly client?: string | undefined;
  /** Absent for an event stream. */
  readonly transport?: 'websocket' | undefined;
  readonly cursor: string;
  readonly behind: number;
  readonly bytes: number;
}

export interface RowPage {
  readonly streams: readonly StreamRow[];
  readonly more: boolean;
}

/** A stream that a message has not reached. */
export interface LackingRow {
  readonly id: string;
  readonly instance: string;
  readonly member?: string | undefined;
  readonly credential?: string | undefined;
  /** How many numbers of the log it lacks up to the message, itself included. */
  readonly lacks: number;
}

/** The streams of a topic, by whether they have passed a position. */
export interface Passing {
  readonly streams: number;
  /** Streams that are at the position or beyond it. */
  readonly passed: number;
  /** Streams before the position, the furthest first, as many as fit. */
  readonly lacking: readonly LackingRow[];
}

export interface PageBounds {
  /** Only streams with larger numbers. */
  readonly after: number;
  readonly limit: number;
  /** The most bytes of the rows as JSON. The first row is included even if it is larger. */
  readonly maxBytes: number;
}

export interface OpenStreamsDependencies {
  readonly readers: () => Iterable<Reader>;
  readonly tail: { readonly last: number; readonly position: Position };
  readonly handles: Pick<StreamHandles, 'instance' | 'idOf'>;
  readonly clock: Clock;
}

/** Lists the streams of this instance for administrators. There is no index: each question walks through all streams, some in each turn of the event loop. */
export class OpenStreams {
  readonly #readers: () => Iterable<Reader>;
  readonly #tail: OpenStreamsDependencies['tail'];
  readonly #handles: OpenStreamsDependencies['handles'];
  readonly #turns: InTurns;

  constructor({ readers, tail, handles, clock }: OpenStreamsDependencies) {
    this.#readers = readers;
    this.#tail = tail;
    this.#handles = handles;
    this.#turns = new InTurns(clock, LIST_TURN_MS);
  }

  /** How many matching streams have numbers above `after`. */
  async count(query: StreamQuery, after: number): Promise<number> {
    let count = 0;
    await this.#walk(this.#readers(), (reader) => {
      if (isAsked(reader, query, after)) count++;
    });
    return count;
  }

  /** The matching streams with the smallest numbers above `after`, in order. */
  async page(query: StreamQuery, { after, limit, maxBytes }: PageBounds): Promise<RowPage> {
    const found = new Smallest(limit + 1);
    await this.#walk(this.#readers(), (reader) => {
      if (isAsked(reader, query, after)) found.add(reader);
    });
    const sorted = found.sorted();
    const streams: StreamRow[] = [];
    let bytes = 0;
    let isCut = false;
    await this.#walk(sorted.slice(0, limit), (reader) => {
      if (reader.isGone || isCut) return;
      const row = this.#row(reader);
      bytes += Buffer.byteLength(JSON.stringify(row)) + ROW_OVERHEAD_BYTES;
      isCut = bytes > maxBytes && streams.length > 0;
      if (!isCut) streams.push(row);
    });
    return { streams, more: isCut || sorted.length > limit };
  }

  /** Counts the streams that get a topic, and lists those that have not passed a position. */
  async passing(topic: string, seq: number, { limit, maxBytes }: Omit<PageBounds, 'after'>): Promise<Passing> {
    let streams = 0;
    let passed = 0;
    let lacking: LackingRow[] = [];
    await this.#walk(this.#readers(), (reader) => {
      if (!isAsked(reader, { topic }, 0)) return;
      streams++;
      const lacks = seq - reader.position().seq;
      if (lacks <= 0) {
        passed++;
        return;
      }
      const { number, member, credential } = reader.client!;
      lacking.push({ id: this.#handles.idOf(number), instance: this.#handles.instance, member, credential, lacks });
      if (lacking.length >= 2 * limit) lacking = furthest(lacking, limit);
    });
    let bytes = 0;
    const rows = furthest(lacking, limit);
    const end = rows.findIndex((row) => (bytes += Buffer.byteLength(JSON.stringify(row)) + ROW_OVERHEAD_BYTES) > maxBytes);
    return { streams, passed, lacking: end === -1 ? rows : rows.slice(0, end) };
  }

  /** The stream with a number; undefined if it has ended. Walks through all streams in one turn, some milliseconds with 50,000, so call it only once for each request. */
  find(number: number): Reader | undefined {
    for (const reader of this.#readers()) if (reader.client?.number === number && !reader.isGone) return reader;
    return undefined;
  }

  #walk<Item>(items: Iterable<Item>, visit: (item: Item) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#turns.forEach(andThen(items, resolve), visit);
    });
  }

  #row(reader: Reader): StreamRow {
    const { client, outlet, openedTenths } = reader;
    const { shown, more } = shownTopics(reader.group.filter);
    return {
      id: this.#handles.idOf(client!.number),
      member: client!.member,
      credential: client!.credential,
      topics: shown,
      moreTopics: more === 0 ? undefined : more,
      instance: this.#handles.instance,
      opened: new Date(performance.timeOrigin + openedTenths * 100).toISOString(),
      address: client!.address ?? outlet.remoteAddress?.replace(/^::ffff:(?=[0-9.]+$)/i, ''),
      client: client!.agent,
      transport: reader.transport === 'websocket' ? reader.transport : undefined,
      cursor: idOf(reader.position()),
      behind: lag(reader, this.#tail.last),
      bytes: outlet.bytesWritten ?? 0,
    };
  }
}

function* andThen<Item>(items: Iterable<Item>, done: () => void): Generator<Item> {
  yield* items;
  done();
}

function idOf({ epoch, seq }: Position): string {
  return formatId(epoch, seq);
}

/** How many numbers of the log a reader is behind. */
function lag({ isLive, cursorSeq }: Reader, last: number): number {
  return isLive ? 0 : Math.max(0, last - cursorSeq);
}

function isAsked(reader: Reader, { member, credential, topic, isBehind }: StreamQuery, after: number): boolean {
  const { client, group: { filter } } = reader;
  if (client === undefined || client.number <= after || reader.isGone) return false;
  return (member === undefined || client.member === member) && (credential === undefined || client.credential === credential) && (isBehind !== true || !reader.isLive) && (topic === undefined || wants(filter, topic));
}

/** The streams that are furthest behind, the furthest first. */
export function furthest(rows: readonly LackingRow[], limit: number): LackingRow[] {
  return rows.toSorted((one, other) => other.lacks - one.lacks || (one.id < other.id ? -1 : 1)).slice(0, limit);
}

/** Whether a stream has this topic or pattern in its list, or gets the messages of this topic by a pattern. */
export function wants({ topics, patterns }: Filter, topic: string): boolean {
  // Not `Filter.matches`: it would build and keep a matcher in each filter.
  return isPattern(topic) ? patterns.includes(topic) : topics.includes(topic) || patterns.some((pattern) => matches(pattern, topic));
}

function shownTopics({ topics, patterns }: Filter): { readonly shown: readonly string[]; readonly more: number } {
  const all = [...topics, ...patterns];
  let bytes = 0;
  const end = all.findIndex((name) => (bytes += Buffer.byteLength(name)) > SHOWN_TOPICS_MAX_BYTES);
  return end === -1 ? { shown: all, more: 0 } : { shown: all.slice(0, end), more: all.length - end };
}

/** Keeps the `max` readers with the smallest numbers. Sorts and cuts now and then, so that the list stays short. */
class Smallest {
  readonly #max: number;
  #readers: Reader[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  add(reader: Reader): void {
    this.#readers.push(reader);
    if (this.#readers.length >= 2 * this.#max) this.#readers = this.sorted();
  }

  sorted(): Reader[] {
    return this.#readers.sort((one, other) => one.client!.number - other.client!.number).slice(0, this.#max);
  }
}
