import type { Lineage } from '../../../model/epochs.ts';
import { Message } from '../../../model/message.ts';
import type { Filter } from '../../../model/topic.ts';
import { ownCopy } from '../../../runtime/memory.ts';
import { beginningsOf, isDeep } from '../../beginnings.ts';
import { SCAN_MAX_ROWS } from '../../limits.ts';
import type { BackQuery, FoundBack, NewestBounds, ReadQuery } from '../../store.ts';
import { stateCall } from './append.ts';
import type { Row } from '../connection/connection.ts';
import { NEWEST_ERASURE } from './known-log.ts';
import { elements, literal, strings, wholeNumber } from '../connection/literals.ts';

/**
 * Segments that the server compares, of one pattern and of all of a filter; the rest is compared here. The server compares every segment at each character of a
 * topic. Without a bound, one URL full of wildcards would keep the server busy until all reads time out.
 */
const COMPARED_MAX_SEGMENTS = 8;
const FILTER_MAX_SEGMENTS = 300;

/** Rows of a first segment that are looked at before its topics are: a reader near the end of the log needs no more. */
const PROBE_ROWS = 16;

/** Topics that are scanned one by one. Where more lie below the beginnings of patterns, all with their first segment are scanned. Bounds the scans that a read is planned with. */
const SCANNED_MAX_ENTRIES = 100;

/**
 * One statement, and so one snapshot (invariant 9). The first row has the result and the state of the log; each message has a row of its own.
 * Data come as hexadecimal digits, which no setting of the server changes.
 */
export function readCall({ after, filter, limit, maxBytes, withoutData = false }: ReadQuery, known: Lineage): string {
  const found = search('find', filter, after, `${after}, ${Number.MAX_SAFE_INTEGER}`, [Math.min(limit, SCAN_MAX_ROWS), maxBytes, SCAN_MAX_ROWS]);
  return `WITH found AS MATERIALIZED (SELECT seqs, scanned, examined FROM ${found} AS f)
    SELECT scanned::text, examined::text, NULL, ${NEWEST_ERASURE}::text, NULL, NULL, NULL, s.head, s.oldest, s.now, s.epoch, s.epochs, s.standby
      FROM found, ${stateCall(known)} s
    UNION ALL
    SELECT m.seq::text, m.time::text, m.expires::text, m.json::text, m.topic, m.event, ${withoutData ? "''" : "encode(m.data, 'hex')"}, NULL, NULL, NULL, NULL, NULL, NULL
      FROM found, unnest(found.seqs) AS n, LATERAL (SELECT * FROM tidings.messages WHERE seq = n OFFSET 0) AS m`;
}

/** One statement and one row: the result, and the state of the log. */
export function backCall({ before, filter, limit }: BackQuery, known: Lineage): string {
  const found = search('find_back', filter, before, `-1, ${before}`, [Math.min(limit, SCAN_MAX_ROWS), SCAN_MAX_ROWS]);
  return `SELECT f.seqs, f.names, f.start, f.examined, s.* FROM ${found} f, ${stateCall(known)} s`;
}

/** One statement, and one row. The length of data is known without reading them. */
export function newestCall({ messages, bytes }: NewestBounds, known: Lineage): string {
  return `SELECT coalesce((SELECT min(f.seq) - 1 FROM (
      SELECT m.seq, sum(octet_length(m.data)) OVER (ORDER BY m.seq DESC) AS sum FROM (SELECT seq, data FROM tidings.messages ORDER BY seq DESC LIMIT ${messages}) m) f WHERE f.sum <= ${bytes}), s.head), s.* FROM ${stateCall(known)} s`;
}

/** The result in such a row, without the messages that match only the compared beginning of a long pattern. */
export function foundBackOf(row: Row, filter: Filter): Omit<FoundBack, 'log'> {
  const [seqs, names, start, examined] = row;
  const topics = (names ?? '').split(' ');
  return {
    seqs: elements(seqs ?? '').map(wholeNumber).filter((_, index) => filter.matches(topics[index] ?? '')),
    from: wholeNumber(start), examined: wholeNumber(examined),
  };
}

/**
 * A call of `find` or `find_back` as a table. The functions take a filter as topics, first segments of patterns, and a regular expression. For patterns that begin with
 * several names, `narrow` first looks which topics there are.
 *
 * @param place The number from which the function searches.
 * @param between The numbers that it may find lie between these two.
 */
function search(find: 'find' | 'find_back', filter: Filter | undefined, place: number, between: string, limits: readonly number[]): string {
  if (filter === undefined) return `tidings.${find}(${[place, 'NULL', strings([]), literal(''), ...limits].join(', ')})`;
  const { bySegment, areOpen } = beginningsOf(filter);
  const deep = [...bySegment.values()].filter((beginnings) => beginnings.every(isDeep)).flat();
  const shallow = areOpen ? ['*'] : [...bySegment].filter(([, beginnings]) => !beginnings.every(isDeep)).map(([segment]) => segment);
  const [topics, segments, pattern] = [strings(filter.topics), strings(shallow), literal(regularExpression(filter.patterns))];
  if (areOpen || deep.length === 0) return `tidings.${find}(${[place, topics, segments, pattern, ...limits].join(', ')})`;
  const found = find === 'find' ? 'f.seqs, f.scanned' : 'f.seqs, f.names, f.start';
  return `(SELECT ${found}, f.examined + n.examined AS examined
    FROM tidings.narrow(${[between, topics, segments, strings(deep), pattern, PROBE_ROWS, SCANNED_MAX_ENTRIES].join(', ')}) AS n,
      LATERAL tidings.${find}(${[place, 'n.all_topics', 'n.all_segments', pattern, ...limits].join(', ')}) AS f)`;
}

/** The beginning of a pattern as a pattern: it matches what the whole one does, and more. */
function begin(segments: readonly string[], most: number): readonly string[] {
  return segments.length > most + 1 ? [...segments.slice(0, most), '>'] : segments;
}

/** The row with the result. */
export function isSummary(row: Row): boolean {
  return row[2] === null;
}

export function summaryOf(row: Row): { readonly scanned: number; readonly examined: number; readonly erasures: number } {
  return { scanned: wholeNumber(row[0]), examined: wholeNumber(row[1]), erasures: wholeNumber(row[3]) };
}

/** The messages of the other rows, in order. The server compares only the beginning of long patterns, so some messages are dropped here. */
export function messagesOf(rows: readonly Row[], filter: Filter | undefined, lineage: Lineage): Message[] {
  const wanted = filter === undefined ? rows : rows.filter((row) => filter.matches(row[4]!));
  const messages = wanted.map((row) => {
    const [number, time, expires, json, topic, event, data] = row as readonly string[];
    const seq = wholeNumber(number);
    return new Message(lineage.at(seq).epoch, seq, wholeNumber(time), wholeNumber(expires), {
      topic: topic!, event: event ?? undefined, json: json === 'true', data: ownCopy(Buffer.from(data!, 'hex')),
    });
  });
  return messages.sort((one, other) => one.seq - other.seq);
}

/**
 * Matches everything that a pattern matches, and more where patterns are long or many. One that has no segment before its wildcards matches by this alone.
 */
function regularExpression(patterns: readonly string[]): string {
  const most = Math.max(1, Math.min(COMPARED_MAX_SEGMENTS, Math.floor(FILTER_MAX_SEGMENTS / patterns.length)));
  const alternatives = patterns.map((pattern) => begin(pattern.split('.'), most).map((segment) => {
    if (segment === '*') return '[^.]+';
    return segment === '>' ? '.+' : segment.replace(/[^\p{L}\p{N}_-]/gu, (character) => `\\U${character.codePointAt(0)!.toString(16).padStart(8, '0')}`);
  }).join('\\.'));
  return `^(?:${alternatives.join('|')})$`;
}
