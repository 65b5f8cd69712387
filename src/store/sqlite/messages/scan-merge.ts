import type Database from 'better-sqlite3';
import type { Filter } from '../../../model/topic.ts';
import { beginningsOf, endOf, isDeep } from '../../beginnings.ts';

/** Entries of a source's first chunk: few, because a read may need one message of each of a hundred sources. */
const FIRST_CHUNK_ENTRIES = 16;

/** The first chunks of all sources together. With many sources each chunk is smaller, but has one entry at least. */
const FIRST_CHUNKS_ENTRIES = 4_096;

/** The most entries of a later chunk. Bounds the entries fetched in vain when the read stops. */
const CHUNK_MAX_ENTRIES = 1_024;

/** Entries of a first segment that are fetched before its topics are looked up: a reader near the end of the log needs no more. */
const PROBE_ENTRIES = 16;

/** Topics that are scanned one by one. Where more lie below the beginnings of patterns, all with their first segment are scanned. Bounds the sources of a merge. */
const BELOW_MAX_ENTRIES = 500;

/** A place is a number of the log, or its negative where the log is walked back: so places always grow. */
type Entry = readonly [place: number, topic: string];

export type Direction = 'forward' | 'back';

/** The first `limit` entries after a place, in order. */
type Scan = (after: number, limit: number) => Entry[];

/** The scans for a filter, and how many entries were looked at to choose them. */
interface ChosenScans {
  readonly scans: readonly Scan[];
  readonly examined: number;
}

/** The ways to look for messages: in the large tables of the index and in its newest part (topic-index.ts), and one by one. */
export class Scans {
  readonly #topic: Database.Statement<[string, number, number], Entry>;
  readonly #recentTopic: Database.Statement<[string, number, number], Entry>;
  readonly #segment: Database.Statement<[string, number, number], Entry>;
  readonly #recentBelow: Database.Statement<[string, string, number, number], Entry>;
  readonly #topicsBelow: Database.Statement<[{ from: string; to: string; limit: number }], string>;
  readonly #everything: Database.Statement<[number, number], Entry>;

  constructor({ db, direction }: { db: Database.Database; direction: Direction }) {
    const place = (seq: string): string => (direction === 'forward' ? seq : `-${seq}`);
    const next = (seq: string): string => (direction === 'forward' ? `${seq} > ? ORDER BY ${seq} LIMIT ?` : `${seq} < -? ORDER BY ${seq} DESC LIMIT ?`);
    const entries = `SELECT ${place('seq')}, topic FROM`;
    this.#topic = db.prepare<[string, number, number], Entry>(`${entries} topics WHERE topic = ? AND ${next('seq')}`).raw();
    this.#recentTopic = db.prepare<[string, number, number], Entry>(`${entries} recent WHERE topic = ? AND ${next('seq')}`).raw();
    // CROSS JOIN: without statistics SQLite could choose to walk the log.
    this.#segment = db.prepare<[string, number, number], Entry>(`SELECT ${place('segments.seq')}, topic FROM segments CROSS JOIN messages ON messages.seq = segments.seq `
      + `WHERE segment = ? AND ${next('segments.seq')}`).raw();
    this.#recentBelow = db.prepare<[string, string, number, number], Entry>(`${entries} recent WHERE topic > ? AND topic < ? AND ${next('seq')}`).raw();
    // Each step seeks the next topic in the index, past all entries of the one before.
    this.#topicsBelow = db.prepare<[{ from: string; to: string; limit: number }], string>(`WITH RECURSIVE below (topic) AS (
      SELECT min(topic) FROM topics WHERE topic > :from AND topic < :to UNION ALL
      SELECT (SELECT min(topic) FROM topics WHERE topic > below.topic AND topic < :to) FROM below WHERE topic IS NOT NULL
    ) SELECT topic FROM below WHERE topic IS NOT NULL LIMIT :limit`).pluck();
    this.#everything = db.prepare<[number, number], Entry>(`${entries} messages WHERE ${next('seq')}`).raw();
  }

  /**
   * Two index scans for each topic. For patterns that begin with several names, the topics below these are looked up and scanned, if they are few. For other
   * patterns, one scan finds all topics with their first segment. If a pattern begins with a wildcard, one scan of the whole log replaces all others.
   */
  of(filter: Filter, after: number): ChosenScans {
    const { bySegment, areOpen } = beginningsOf(filter);
    if (areOpen) return { scans: [(place, limit) => this.#everything.all(place, limit)], examined: 0 };
    const scans: Scan[] = [];
    const topics = new Set(filter.topics);
    for (const topic of topics) scans.push((place, limit) => this.#recentTopic.all(topic, place, limit));
    let examined = 0;
    let left = BELOW_MAX_ENTRIES - topics.size;
    for (const [segment, beginnings] of bySegment) {
      for (const beginning of beginnings) scans.push((place, limit) => this.#recentBelow.all(beginning, endOf(beginning), place, limit));
      let below: readonly string[] | undefined;
      if (left > 0 && beginnings.every(isDeep)) {
        const probed = this.#segment.all(segment, after, PROBE_ENTRIES).length;
        examined += probed;
        if (probed === PROBE_ENTRIES) {
          const listed = this.#below(beginnings, left + 1);
          examined += listed.length;
          if (listed.length <= left) below = listed;
          left -= listed.length;
        }
      }
      if (below === undefined) scans.push((place, limit) => this.#segment.all(segment, place, limit));
      else for (const topic of below) if (filter.matches(topic)) topics.add(topic);
    }
    for (const topic of topics) scans.push((place, limit) => this.#topic.all(topic, place, limit));
    return { scans, examined };
  }

  /** Topics with one of some beginnings, up to a limit. */
  #below(beginnings: readonly string[], most: number): string[] {
    const topics: string[] = [];
    for (const beginning of beginnings) {
      if (topics.length >= most) break;
      topics.push(...this.#topicsBelow.all({ from: beginning, to: endOf(beginning), limit: most - topics.length }));
    }
    return topics;
  }
}

export interface ScanMergeOptions {
  readonly scans: Scans;
  readonly filter: Filter;
  /** The place after which the scans begin. */
  readonly after: number;
  /** About how many entries the merge may look at. */
  readonly budget: number;
}

/** The places of the messages that a filter matches, in order: its scans merged, all inside the caller's snapshot. */
export class ScanMerge {
  readonly #sources: readonly Source[];
  readonly #budget: number;
  #examined: number;
  #last: number;
  #scanned: number;

  constructor({ scans, filter, after, budget }: ScanMergeOptions) {
    const chosen = scans.of(filter, after);
    const chunk = Math.max(1, Math.min(FIRST_CHUNK_ENTRIES, Math.floor(FIRST_CHUNKS_ENTRIES / chosen.scans.length)));
    this.#sources = chosen.scans.map((scan) => new Source({ scan, filter, after, chunk }));
    this.#examined = chosen.examined;
    this.#budget = budget;
    this.#last = after;
    this.#scanned = after;
  }

  /** How far the log was looked at when `next` found no more; Infinity when that is its end. */
  get scanned(): number {
    return this.#scanned;
  }

  get examined(): number {
    return this.#examined;
  }

  /** The next place. */
  next(): number | undefined {
    // Nothing after `known` is certain: a source may still find rows that come before those of the others.
    let known = Infinity;
    let place = Infinity;
    for (const source of this.#sources) {
      source.drop(this.#last);
      // The first chunk comes in spite of the budget, so that every read moves on.
      while (source.found === undefined && source.looked < Infinity && (source.isFresh || this.#examined < this.#budget)) this.#examined += source.fetch();
      if (source.found === undefined) known = Math.min(known, source.looked);
      else place = Math.min(place, source.found);
    }
    if (place === Infinity || place > known) {
      this.#scanned = known;
      return undefined;
    }
    this.#last = place;
    return place;
  }
}

/** One scan, fetched in chunks that grow. */
class Source {
  /** Everything up to this place was looked at; Infinity at the end of the log. */
  looked: number;
  isFresh = true;
  readonly #scan: Scan;
  readonly #filter: Filter;
  #chunk: number;
  #found: number[] = [];
  #at = 0;

  /** @param chunk Entries that it fetches at first. */
  constructor({ scan, filter, after, chunk }: { scan: Scan; filter: Filter; after: number; chunk: number }) {
    this.#chunk = chunk;
    this.#scan = scan;
    this.#filter = filter;
    this.looked = after;
  }

  /** The next place that matches, among those fetched. */
  get found(): number | undefined {
    return this.#found[this.#at];
  }

  /** Drops everything up to a place. */
  drop(place: number): void {
    while (this.#at < this.#found.length && this.#found[this.#at]! <= place) this.#at += 1;
  }

  /** Fetches the next chunk. Returns how many entries it looked at. */
  fetch(): number {
    const entries = this.#scan(this.looked, this.#chunk);
    this.isFresh = false;
    this.looked = entries.length < this.#chunk ? Infinity : entries.at(-1)![0];
    this.#found = [];
    for (const [place, topic] of entries) if (this.#filter.matches(topic)) this.#found.push(place);
    this.#at = 0;
    this.#chunk = Math.min(this.#chunk * 2, CHUNK_MAX_ENTRIES);
    return entries.length;
  }
}
