import type Database from 'better-sqlite3';
import { Filter } from '../../../model/topic.ts';
import { SCAN_MAX_ROWS } from '../../limits.ts';
import type { FoundBack, Page } from '../../store.ts';
import { DamageError } from '../files/errors.ts';
import { clock, type AnswerWith, type LogRow, type LogStateQuery } from '../files/log-state.ts';
import { ScanMerge, Scans } from './scan-merge.ts';
import { packMessages, type MessageRow, type PackedMessages } from './worker-packing.ts';

/** The most filters that are cached between reads. Bounds their memory. Readers in catch-up send the same filters again and again. */
const KEPT_FILTERS = 500;

/** A `ReadQuery` as it crosses to the query worker, with the topics and patterns of the filter as texts. */
export interface PackedQuery {
  readonly after: number;
  readonly names: readonly string[] | undefined;
  readonly limit: number;
  readonly maxBytes: number;
  readonly withoutData: boolean;
}

/** A `Page` as it crosses to the main thread. */
export interface PackedPage extends Omit<Page, 'messages' | 'log'> {
  readonly messages: PackedMessages;
  readonly log: LogRow;
}

/** A `BackQuery` as it crosses to the query worker. */
export interface PackedBackQuery {
  readonly before: number;
  readonly names: readonly string[];
  readonly limit: number;
}

/** The rows of a page, and the other parts of a `Page`. */
interface Rows {
  readonly rows: MessageRow[];
  readonly scanned: number;
  readonly examined: number;
}

export interface MessageQueryDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Reads messages, inside the caller's read transaction. */
export class MessageQuery {
  readonly #scans: Scans;
  readonly #scansBack: Scans;
  readonly #logState: LogStateQuery;
  readonly #all: Database.Statement<[number, number], MessageRow>;
  readonly #allWithoutData: Database.Statement<[number, number], MessageRow>;
  readonly #one: Database.Statement<[number], MessageRow>;
  readonly #oneWithoutData: Database.Statement<[number], MessageRow>;
  readonly #expires: Database.Statement<[number], number>;
  readonly #filters = new Map<string, Filter>();

  constructor({ db, logState }: MessageQueryDependencies) {
    const select = (data: string, where: string): string => `SELECT seq, epoch, time, expires, topic, event, json, ${data} FROM messages WHERE ${where}`;
    const [after, one] = ['seq > ? ORDER BY seq LIMIT ?', 'seq = ?'];
    this.#scans = new Scans({ db, direction: 'forward' });
    this.#scansBack = new Scans({ db, direction: 'back' });
    this.#logState = logState;
    this.#all = db.prepare<[number, number], MessageRow>(select('data', after)).raw();
    this.#allWithoutData = db.prepare<[number, number], MessageRow>(select("x''", after)).raw();
    this.#one = db.prepare<[number], MessageRow>(select('data', one)).raw();
    this.#oneWithoutData = db.prepare<[number], MessageRow>(select("x''", one)).raw();
    this.#expires = db.prepare<[number], number>('SELECT expires FROM messages WHERE seq = ?').pluck();
  }

  read(query: PackedQuery): PackedPage {
    const log = this.#logState.row();
    const after = Math.min(query.after, log.seq);
    const { rows, scanned, examined } = query.names === undefined
      ? this.#readAll(after, query, log.seq)
      : this.#readMatching(after, query, this.#filter(query.names), log.seq);
    return { messages: packMessages(rows), scanned, examined, log };
  }

  #readAll(after: number, { limit, maxBytes, withoutData }: PackedQuery, head: number): Rows {
    const rows: MessageRow[] = [];
    let bytes = 0;
    for (const row of (withoutData ? this.#allWithoutData : this.#all).iterate(after, Math.min(limit, SCAN_MAX_ROWS))) {
      const before = rows.at(-1);
      // Invariant 2: the log has no holes.
      if (before !== undefined && row[0] !== before[0] + 1) throw missing(before[0] + 1);
      rows.push(row);
      bytes += row[7].length;
      if (bytes > maxBytes) break;
    }
    return { rows, scanned: rows.at(-1)?.[0] ?? head, examined: rows.length };
  }

  #readMatching(after: number, { limit, maxBytes, withoutData }: PackedQuery, filter: Filter, head: number): Rows {
    const rows: MessageRow[] = [];
    const merge = new ScanMerge({ scans: this.#scans, filter, after, budget: SCAN_MAX_ROWS });
    let bytes = 0;
    while (rows.length < limit && bytes <= maxBytes) {
      const seq = merge.next();
      if (seq === undefined) return { rows, scanned: Math.min(merge.scanned, head), examined: merge.examined + rows.length };
      const row = (withoutData ? this.#oneWithoutData : this.#one).get(seq);
      if (row === undefined) throw missing(seq);
      rows.push(row);
      bytes += row[7].length;
    }
    return { rows, scanned: rows.at(-1)?.[0] ?? after, examined: merge.examined + rows.length };
  }

  findBack({ before, names, limit }: PackedBackQuery): AnswerWith<LogRow, FoundBack> {
    const log = this.#logState.row();
    const now = clock(log);
    const begin = Math.min(before, log.seq + 1);
    const merge = new ScanMerge({ scans: this.#scansBack, filter: this.#filter(names), after: -begin, budget: SCAN_MAX_ROWS });
    const seqs: number[] = [];
    let matches = 0;
    while (seqs.length < limit) {
      const place = merge.next();
      if (place === undefined) return { seqs, from: Math.max(-merge.scanned, log.oldest), examined: merge.examined + matches, log };
      matches++;
      // Walking back, a place is the negative of its number (scan-merge.ts).
      const seq = -place;
      const expires = this.#expires.get(seq);
      if (expires === undefined) throw missing(seq);
      if (expires === 0 || expires > now) seqs.push(seq);
    }
    return { seqs, from: seqs.at(-1)!, examined: merge.examined + matches, log };
  }

  /** The filter with these names, cached: the oldest of too many is dropped. */
  #filter(names: readonly string[]): Filter {
    const key = names.join(' ');
    const known = this.#filters.get(key);
    if (known !== undefined) return known;
    const filter = new Filter(names);
    if (this.#filters.size >= KEPT_FILTERS) this.#filters.delete(this.#filters.keys().next().value!);
    this.#filters.set(key, filter);
    return filter;
  }
}

function missing(seq: number): DamageError {
  return new DamageError(`the database file is damaged: message ${seq} is missing; stop Tidings and restore a copy`);
}

