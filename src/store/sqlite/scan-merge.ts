import type Database from 'better-sqlite3';
import type { Filter } from '../../model/topic.ts';

/** Entries that a source fetches at first: few, because of a hundred sources most may be needed for one message only. */
const CHUNK_MIN_ENTRIES = 16;

/** Entries that a source fetches at once in the end: bounds what is fetched in vain when the read stops. */
const CHUNK_MAX_ENTRIES = 1_024;

/** A place is a number of the log, or its negative where the log is walked back: so places always grow. */
type Entry = readonly [place: number, topic: string];

export type Direction = 'forward' | 'back';

/** The first `limit` entries after a place, in order. */
type Scan = (after: number, limit: number) => Entry[];

/** The ways to look for messages: in the large tables of the index and in its newest part (topic-index.ts), and one by one. */
export class Scans {
  readonly #topic: Database.Statement<[string, number, number], Entry>;
  readonly #recentTopic: Database.Statement<[string, number, number], Entry>;
  readonly #segment: Database.Statement<[string, number, number], Entry>;
  readonly #recentSegment: Database.Statement<[string, string, number, number], Entry>;
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
    this.#recentSegment = db.prepare<[string, string, number, number], Entry>(`${entries} recent WHERE topic > ? AND topic < ? AND ${next('seq')}`).raw();
    this.#everything = db.prepare<[number, number], Entry>(`${entries} messages WHERE ${next('seq')}`).raw();
  }

  /**
   * Two index scans for each topic, and for each first segment that patterns begin with; the whole log, and that
   * alone, where a pattern begins with a wildcard.
   */
  of(filter: Filter): Scan[] {
    const segments = new Set(filter.patterns.map((pattern) => pattern.split('.', 1)[0]!));
    if (segments.has('*') || segments.has('>')) return [(after, limit) => this.#everything.all(after, limit)];
    const scans: Scan[] = [];
    for (const topic of filter.topics) {
      scans.push((after, limit) => this.#topic.all(topic, after, limit));
      scans.push((after, limit) => this.#recentTopic.all(topic, after, limit));
    }
    for (const segment of segments) {
      scans.push((after, limit) => this.#segment.all(segment, after, limit));
      // Every topic that begins with the segment and goes on: the slash is the next character after the dot.
      scans.push((after, limit) => this.#recentSegment.all(`${segment}.`, `${segment}/`, after, limit));
    }
    return scans;
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
  #last: number;
  #scanned: number;

  constructor({ scans, filter, after, budget }: ScanMergeOptions) {
    this.#sources = scans.of(filter).map((scan) => new Source({ scan, filter, after }));
    this.#budget = budget;
    this.#last = after;
    this.#scanned = after;
  }

  /** How far the log was looked at when `next` found no more; Infinity when that is its end. */
  get scanned(): number {
    return this.#scanned;
  }

  get examined(): number {
    return this.#sources.reduce((sum, source) => sum + source.examined, 0);
  }

  /** The next place. */
  next(): number | undefined {
    // What a source has not looked at yet could come before what the others have found: nothing after `known` is certain.
    let known = Infinity;
    let place = Infinity;
    for (const source of this.#sources) {
      source.drop(this.#last);
      // The first chunk comes whatever the budget, so that every read moves on.
      while (source.found === undefined && source.looked < Infinity && (source.examined === 0 || this.examined < this.#budget)) source.fetch();
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
  examined = 0;
  readonly #scan: Scan;
  readonly #filter: Filter;
  #chunk = CHUNK_MIN_ENTRIES;
  #found: number[] = [];
  #at = 0;

  constructor({ scan, filter, after }: { scan: Scan; filter: Filter; after: number }) {
    this.#scan = scan;
    this.#filter = filter;
    this.looked = after;
  }

  /** The next place that matches, among those fetched. */
  get found(): number | undefined {
    return this.#found[this.#at];
  }

  /** Lets go of everything up to a place. */
  drop(place: number): void {
    while (this.#at < this.#found.length && this.#found[this.#at]! <= place) this.#at += 1;
  }

  fetch(): void {
    const entries = this.#scan(this.looked, this.#chunk);
    this.examined += entries.length;
    this.looked = entries.length < this.#chunk ? Infinity : entries.at(-1)![0];
    this.#found = [];
    for (const [place, topic] of entries) if (this.#filter.matches(topic)) this.#found.push(place);
    this.#at = 0;
    this.#chunk = Math.min(this.#chunk * 2, CHUNK_MAX_ENTRIES);
  }
}
