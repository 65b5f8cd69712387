import { namesBesides, type Filter } from '../model/topic.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { firstAfter } from '../model/byte-order.ts';
import type { Member } from './member.ts';
import type { MemberPage, PresenceChange, PresenceCount, PresencePage } from './place.ts';

/** How many members that may come back are waited for. Stops clients that come and go under ever new names from filling the memory: then the first ones are gone a little early. */
const LINGERING_MAX_ENTRIES = 20_000;

/** A topic or pattern that streams of this instance name. */
class Topic {
  readonly name: string;
  /** All streams, with those of members. */
  streams = 0;
  /** Kept by place-sync.ts. */
  toldIn = 0;
  /** By their ids; undefined before the first. */
  members: Map<string, Entry> | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get isPresent(): boolean {
    return this.streams > 0;
  }
}

/** One member of one topic. */
class Entry {
  readonly topic: Topic;
  readonly member: string;
  readonly since: number;
  streams = 0;
  meta: string | undefined;
  metaAt = 0;
  isLingering = false;
  toldIn = 0;
  /** Streams of the same member. */
  previous: Entry | undefined;
  next: Entry | undefined;

  constructor(topic: Topic, member: string, since: number) {
    this.topic = topic;
    this.member = member;
    this.since = since;
  }

  get isPresent(): boolean {
    return this.streams > 0 || this.isLingering;
  }
}

/** A topic, or a member on it: each changes as one. */
export type PresenceRecord = Topic | Entry;

export interface LocalPresenceDependencies {
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long a member stays after its last stream. */
  readonly graceMs: number;
  /** Called after each change. Returns whether the record is to be kept, though nothing is present in it any more, until `drop`. */
  readonly onChange: (record: PresenceRecord) => boolean;
}

/** Presence on this instance. A stream is a number in the topics that it names, and in its member's entries. */
export class LocalPresence {
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #graceMs: number;
  readonly #onChange: (record: PresenceRecord) => boolean;
  readonly #topics = new Map<string, Topic>();
  /** The first entry of each member. */
  readonly #members = new Map<string, Entry>();
  /** Entries without a stream, and when they end, in that order. */
  readonly #lingering = new Map<Entry, number>();
  #timer: Timer | undefined;

  constructor({ clock, now, graceMs, onChange }: LocalPresenceDependencies) {
    this.#clock = clock;
    this.#now = now;
    this.#graceMs = graceMs;
    this.#onChange = onChange;
  }

  /** How many topics and patterns there are. */
  get size(): number {
    return this.#topics.size;
  }

  /** For how long the last one that has no stream is waited for. */
  get lingerMs(): number {
    return this.#lingering.size === 0 ? 0 : this.#graceMs;
  }

  enter({ topics, patterns }: Filter, member: Member | undefined): void {
    for (const name of topics) this.#enter(name, member);
    for (const name of patterns) this.#enter(name, member);
  }

  leave({ topics, patterns }: Filter, member: string | undefined): void {
    for (const name of topics) this.#leave(name, member);
    for (const name of patterns) this.#leave(name, member);
  }

  /** The topics and patterns that streams name. A change meanwhile may be seen or not. */
  * named(): Generator<string> {
    for (const topic of this.#topics.values()) if (topic.isPresent) yield topic.name;
  }

  /** A stream names other topics. Others see its member unchanged there. */
  change(before: Filter, after: Filter, member: string | undefined): void {
    const known = member === undefined ? undefined : { id: member, meta: this.#topics.get(before.names[0]!)?.members?.get(member)?.meta };
    for (const name of namesBesides(after, before)) this.#enter(name, known);
    for (const name of namesBesides(before, after)) this.#leave(name, member, 0);
  }

  /** All records with something present. A change meanwhile may be seen or not. */
  * records(): Generator<PresenceRecord> {
    for (const topic of this.#topics.values()) {
      if (topic.isPresent) yield topic;
      for (const entry of topic.members?.values() ?? []) if (entry.isPresent) yield entry;
    }
  }

  /** Lets go of a record that was kept, if still nothing is present in it. */
  drop(record: PresenceRecord): void {
    if (record.isPresent) return;
    const topic = record instanceof Entry ? record.topic : record;
    if (record instanceof Entry && topic.members?.get(record.member) === record) this.#unlink(record, topic.members);
    if (!topic.isPresent && topic.members === undefined && this.#topics.get(topic.name) === topic) this.#topics.delete(topic.name);
  }

  page(name: string, after: string, limit: number): PresencePage {
    const topic = this.#topics.get(name);
    const found = firstAfter(presentIn(topic), ({ member }) => member, after, limit + 1);
    return {
      streams: topic?.streams ?? 0,
      members: found.slice(0, limit).map(({ member: id, streams, since, meta }) => ({ id, streams, since, meta })),
      next: found.length > limit ? found[limit - 1]!.member : undefined,
    };
  }

  counts(names: readonly string[]): PresenceCount[] {
    return names.map((name) => {
      const topic = this.#topics.get(name);
      return { topic: name, streams: topic?.streams ?? 0, members: topic?.members?.size ?? 0 };
    });
  }

  topicsOf(member: string, after: string, limit: number): MemberPage {
    const found = firstAfter(entriesFrom(this.#members.get(member)), ({ topic }) => topic.name, after, limit + 1);
    return {
      topics: found.slice(0, limit).map(({ topic: { name: topic }, streams, since, meta }) => ({ topic, streams, since, meta })),
      next: found.length > limit ? found[limit - 1]!.topic.name : undefined,
    };
  }

  #enter(name: string, member: Member | undefined): void {
    let topic = this.#topics.get(name);
    if (topic === undefined) this.#topics.set(name, topic = new Topic(name));
    topic.streams++;
    if (member === undefined) {
      this.#onChange(topic);
      return;
    }
    topic.members ??= new Map();
    const entry = topic.members.get(member.id) ?? this.#link(topic.members, topic, member.id);
    if (entry.isLingering) {
      entry.isLingering = false;
      this.#lingering.delete(entry);
    }
    entry.streams++;
    if (member.meta !== undefined) {
      entry.meta = member.meta;
      entry.metaAt = this.#now();
    }
    this.#onChange(entry);
  }

  #leave(name: string, member: string | undefined, graceMs = this.#graceMs): void {
    const topic = this.#topics.get(name)!;
    topic.streams--;
    if (member === undefined) {
      this.#changed(topic);
      return;
    }
    const entry = topic.members!.get(member)!;
    if (--entry.streams === 0 && graceMs > 0) this.#linger(entry);
    this.#changed(entry);
  }

  #linger(entry: Entry): void {
    entry.isLingering = true;
    this.#lingering.set(entry, this.#clock.monotonic() + this.#graceMs);
    if (this.#lingering.size > LINGERING_MAX_ENTRIES) this.#end(this.#lingering.keys().next().value!);
    this.#schedule();
  }

  /** Keeps a timer while members linger. */
  #schedule(): void {
    const [first] = this.#lingering.values();
    if (first === undefined || this.#timer !== undefined) return;
    this.#timer = this.#clock.after(Math.max(0, first - this.#clock.monotonic()), () => {
      this.#timer = undefined;
      for (const [entry, ends] of this.#lingering) {
        if (ends > this.#clock.monotonic()) break;
        this.#end(entry);
      }
      this.#schedule();
    });
  }

  #end(entry: Entry): void {
    this.#lingering.delete(entry);
    entry.isLingering = false;
    this.#changed(entry);
  }

  #changed(record: PresenceRecord): void {
    const isKept = this.#onChange(record);
    if (!isKept) this.drop(record);
  }

  #link(members: Map<string, Entry>, topic: Topic, member: string): Entry {
    const entry = new Entry(topic, member, this.#now());
    members.set(member, entry);
    const next = this.#members.get(member);
    if (next !== undefined) next.previous = entry;
    entry.next = next;
    this.#members.set(member, entry);
    return entry;
  }

  #unlink(entry: Entry, members: Map<string, Entry>): void {
    const { topic, member, previous, next } = entry;
    members.delete(member);
    if (members.size === 0) topic.members = undefined;
    if (next !== undefined) next.previous = previous;
    if (previous !== undefined) previous.next = next;
    else if (next !== undefined) this.#members.set(member, next);
    else this.#members.delete(member);
  }
}

/** The name of the topic or pattern of a record. */
export function topicOf(record: PresenceRecord): string {
  return record instanceof Topic ? record.name : record.topic.name;
}

/** A record as a place stores it. */
export function changeOf(record: PresenceRecord): PresenceChange {
  if (record instanceof Topic) return { topic: record.name, member: '', topicStreams: record.streams, isPresent: record.isPresent, streams: 0, since: 0, meta: undefined, metaAt: 0 };
  const { topic: { name: topic, streams: topicStreams }, member, isPresent, streams, since, meta, metaAt } = record;
  return { topic, member, topicStreams, isPresent, streams, since, meta, metaAt };
}

function* presentIn(topic: Topic | undefined): Generator<Entry> {
  for (const entry of topic?.members?.values() ?? []) if (entry.isPresent) yield entry;
}

function* entriesFrom(first: Entry | undefined): Generator<Entry> {
  for (let entry = first; entry !== undefined; entry = entry.next) if (entry.isPresent) yield entry;
}
