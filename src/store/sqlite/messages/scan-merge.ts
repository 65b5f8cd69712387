import type Database from 'better-sqlite3';
import type { Filter } from '../../../model/topic.ts';
import { beginningsOf, endOf, isDeep } from '../../beginnings.ts';

/**
 * Finds the messages that a filter matches, by the index of topics (topic-index.ts). `Scans` chooses the index scans for a filter; `ScanMerge` merges their
 * results in the order of the log; `Source` is one scan, read in chunks.
 *
 * A read may stop long before the end of the log, so each source fetches a small chunk first, and then larger ones. The merge may return a place only if no
 * source can still find a smaller one. Example: two sources have fetched one chunk each, and the budget is spent:
 *
 *     source   found           looked    (everything up to there was examined)
 *     A        7, 9            12
 *     B        (no match)      8
 *
 * The merge returns 7. It must not return 9, because B may find a match at 9 or below. It stops with `scanned` 8.
 */

/** Entries of a source's first chunk. Few, because a read may need only one message of each of a hundred sources. */
const FIRST_CHUNK_ENTRIES = 16;

/** The most entries of all first chunks together. Stops a filter with many sources from fetching more than a read needs; each chunk has at least one entry. */
const FIRST_CHUNKS_ENTRIES = 4_096;

/** The most entries of a later chunk. Bounds the entries that are fetched in vain when the read stops. */
const CHUNK_MAX_ENTRIES = 1_024;

/** Before a lookup, fetch this many entries of the first segment. If that reaches the end of the log, the lookup is not needed. */
const PROBE_ENTRIES = 16;

/** The most topics that are scanned one by one. Above it, one scan reads the whole first segment. Bounds the sources of a merge. */
const BELOW_MAX_ENTRIES = 500;

/** An index entry. Its place is the message's number, or the negative number if the scan goes back: so places always grow. */
type Entry = readonly [place: number, topic: string];

/** Reads the first `limit` entries after a place, in order. */
type Scan = (after: number, limit: number) => Entry[];

/** The scans for a filter, and how many entries were examined to choose them. */
interface ChosenScans {
  readonly scans: readonly Scan[];
  readonly examined: number;
}

/** The prepared statements: one for each table of the index (`topics`, `segments`; `recent` has its newest part), and one for the whole log. */
export class Scans {
  readonly #topic: Database.Statement<[string, number, number], Entry>;
  readonly #recentTopic: Database.Statement<[string, number, number], Entry>;
  readonly #segment: Database.Statement<[string, number, number], Entry>;
  readonly #recentBelow: Database.Statement<[string, string, number, number], Entry>;
  readonly #topicsBelow: Database.Statement<[{ from: string; to: string; limit: number }], string>;
  readonly #everything: Database.Statement<[number, number], Entry>;

  constructor({ db, direction }: { db: Database.Database; direction: 'forward' | 'back' }) {
    // Backward, the place is `-seq`: so `seq < -?` selects older messages.
    const place = (seq: string): string => (direction === 'forward' ? seq : `-${seq}`);
    const next = (seq: string): string => (direction === 'forward' ? `${seq} > ? ORDER BY ${seq} LIMIT ?` : `${seq} < -? ORDER BY ${seq} DESC LIMIT ?`);
    const entries = `SELECT ${place('seq')}, topic FROM`;
    this.#topic = db.prepare<[string, number, number], Entry>(`${entries} topics WHERE topic = ? AND ${next('seq')}`).raw();
    this.#recentTopic = db.prepare<[string, number, number], Entry>(`${entries} recent WHERE topic = ? AND ${next('seq')}`).raw();
    // CROSS JOIN fixes the order of the tables. Without statistics, SQLite could choose to scan all messages.
    this.#segment = db.prepare<[string, number, number], Entry>(`SELECT ${place('segments.seq')}, topic FROM segments CROSS JOIN messages ON messages.seq = segments.seq `
      + `WHERE segment = ? AND ${next('segments.seq')}`).raw();
    this.#recentBelow = db.prepare<[string, string, number, number], Entry>(`${entries} recent WHERE topic > ? AND topic < ? AND ${next('seq')}`).raw();
    // Each step seeks the next topic in the index, and skips all entries of the topic before it.
    this.#topicsBelow = db.prepare<[{ from: string; to: string; limit: number }], string>(`WITH RECURSIVE below (topic) AS (
      SELECT min(topic) FROM topics WHERE topic > :from AND topic < :to UNION ALL
      SELECT (SELECT min(topic) FROM topics WHERE topic > below.topic AND topic < :to) FROM below WHERE topic IS NOT NULL
    ) SELECT topic FROM below WHERE topic IS NOT NULL LIMIT :limit`).pluck();
    this.#everything = db.prepare<[number, number], Entry>(`${entries} messages WHERE ${next('seq')}`).raw();
  }

  /**
   * Chooses the scans for a filter:
   *
   * | the filter has | scans |
   * |---|---|
   * | a pattern that begins with a wildcard | one of the whole log, and no other |
   * | a topic | `recent` and `topics` for this topic |
   * | patterns such as `a.b.>` that match few topics | `recent` for each beginning (`a.b.`); `topics` for each topic |
   * | such patterns that match many topics, or patterns such as `a.>` | `recent` for each beginning; `segments` for the first segment |
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
      const lookup = left > 0 && beginnings.every(isDeep) ? this.#lookUp(segment, beginnings, after, left) : undefined;
      if (lookup !== undefined) {
        examined += lookup.examined;
        left -= lookup.listed;
      }
      if (lookup?.topics === undefined) scans.push((place, limit) => this.#segment.all(segment, place, limit));
      else for (const topic of lookup.topics) if (filter.matches(topic)) topics.add(topic);
    }
    for (const topic of topics) scans.push((place, limit) => this.#topic.all(topic, place, limit));
    return { scans, examined };
  }

  /** Looks up the topics with some beginnings. Returns no topics if they are more than `most`, or if the segment has so few entries that a scan of them is cheaper. */
  #lookUp(segment: string, beginnings: readonly string[], after: number, most: number): TopicLookup {
    const probed = this.#segment.all(segment, after, PROBE_ENTRIES).length;
    if (probed < PROBE_ENTRIES) return { examined: probed, listed: 0, topics: undefined };
    const topics = this.#below(beginnings, most + 1);
    return { examined: probed + topics.length, listed: topics.length, topics: topics.length <= most ? topics : undefined };
  }

  /** Lists topics that begin with any of these texts, up to `most`. */
  #below(beginnings: readonly string[], most: number): string[] {
    const topics: string[] = [];
    for (const beginning of beginnings) {
      if (topics.length >= most) break;
      topics.push(...this.#topicsBelow.all({ from: beginning, to: endOf(beginning), limit: most - topics.length }));
    }
    return topics;
  }
}

/** The result of a lookup of topics: undefined `topics` means to scan the segment. */
interface TopicLookup {
  readonly examined: number;
  /** How many topics were listed. */
  readonly listed: number;
  readonly topics: readonly string[] | undefined;
}

export interface ScanMergeOptions {
  readonly scans: Scans;
  readonly filter: Filter;
  /** The place after which the scans begin. */
  readonly after: number;
  /** About how many entries the merge may examine. */
  readonly budget: number;
}

/** The places of the messages that a filter matches, in order. All scans run inside the caller's transaction, so they see one snapshot. */
export class ScanMerge {
  readonly #sources: readonly Source[];
  readonly #budget: number;
  #examined: number;
  /** The place that `next` returned last. */
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

  /** After `next` has returned undefined: the place up to which the log was examined; Infinity if that is its end. */
  get scanned(): number {
    return this.#scanned;
  }

  get examined(): number {
    return this.#examined;
  }

  /** The next place; undefined at the end of the log, or when the budget is spent. */
  next(): number | undefined {
    // Every source without a match has been examined at least up to `certain`.
    let certain = Infinity;
    let place = Infinity;
    for (const source of this.#sources) {
      source.drop(this.#last);
      // Each source fetches its first chunk even beyond the budget, so that every read advances.
      while (source.found === undefined && source.looked < Infinity && (source.isFresh || this.#examined < this.#budget)) this.#examined += source.fetch();
      if (source.found === undefined) certain = Math.min(certain, source.looked);
      else place = Math.min(place, source.found);
    }
    if (place === Infinity || place > certain) {
      this.#scanned = certain;
      return undefined;
    }
    this.#last = place;
    return place;
  }
}

/** One scan, fetched in growing chunks. */
class Source {
  /** The place up to which the scan has fetched entries; Infinity at the end of the log. */
  looked: number;
  /** Whether no chunk was fetched yet. */
  isFresh = true;
  readonly #scan: Scan;
  readonly #filter: Filter;
  /** Entries of the next chunk. */
  #chunk: number;
  /** The matching places of the last chunk, and the index of the first that was not dropped. */
  #found: number[] = [];
  #at = 0;

  /** @param chunk Entries of the first chunk. */
  constructor({ scan, filter, after, chunk }: { scan: Scan; filter: Filter; after: number; chunk: number }) {
    this.#chunk = chunk;
    this.#scan = scan;
    this.#filter = filter;
    this.looked = after;
  }

  /** The first match that was fetched and not dropped. */
  get found(): number | undefined {
    return this.#found[this.#at];
  }

  /** Drops the matches up to a place. */
  drop(place: number): void {
    while (this.#at < this.#found.length && this.#found[this.#at]! <= place) this.#at += 1;
  }

  /** Fetches the next chunk. Returns how many entries it has. */
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
