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
 * The most segments of one pattern, and of all patterns of a filter, that the server compares. It drops the rest of the patterns, so it finds more messages than
 * match, and this process compares them in full. The server compares every segment at each character of a topic: without a bound, one URL full of wildcards
 * would keep the server busy until all reads time out.
 */
const COMPARED_MAX_SEGMENTS = 8;
const FILTER_MAX_SEGMENTS = 300;

/** The rows of a first segment that are examined before its topics are looked up. If there are fewer, the reader is near the end of the log, and needs no lookup. */
const PROBE_ROWS = 16;

/** The most topics that are scanned one by one. If more topics match the beginnings of patterns, one scan reads all topics with their first segment. Bounds the scans of a read. */
const SCANNED_MAX_ENTRIES = 100;

/**
 * `Store.read` as one statement, and so in one snapshot (invariant 9). The first row of the answer has `scanned`, `examined` and the state of the log
 * (`summaryOf`); each other row has a message (`messagesOf`). Data comes as hexadecimal digits, a form that no setting of the server changes.
 */
export function readCall({ after, filter, limit, maxBytes, withoutData = false }: ReadQuery, known: Lineage): string {
  const found = search('find', filter, after, [Math.min(limit, SCAN_MAX_ROWS), maxBytes, SCAN_MAX_ROWS]);
  return `WITH found AS MATERIALIZED (SELECT seqs, scanned, examined FROM ${found} AS f)
    SELECT scanned::text, examined::text, NULL, ${NEWEST_ERASURE}::text, NULL, NULL, NULL, s.head, s.oldest, s.now, s.epoch, s.epochs, s.standby
      FROM found, ${stateCall(known)} s
    UNION ALL
    SELECT m.seq::text, m.time::text, m.expires::text, m.json::text, m.topic, m.event, ${withoutData ? "''" : "encode(m.data, 'hex')"}, NULL, NULL, NULL, NULL, NULL, NULL
      FROM found, unnest(found.seqs) AS n, LATERAL (SELECT * FROM tidings.messages WHERE seq = n OFFSET 0) AS m`;
}

/** `Store.findBack` as one statement. The answer is one row (`foundBackOf`). */
export function backCall({ before, filter, limit }: BackQuery, known: Lineage): string {
  const found = search('find_back', filter, before, [Math.min(limit, SCAN_MAX_ROWS), SCAN_MAX_ROWS]);
  return `SELECT f.seqs, f.names, f.start, f.examined, s.* FROM ${found} f, ${stateCall(known)} s`;
}

/** `Store.newestWithin` as one statement. The answer is one row. The server knows the length of data without reading it. */
export function newestCall({ messages, bytes }: NewestBounds, known: Lineage): string {
  return `SELECT coalesce((SELECT min(f.seq) - 1 FROM (
      SELECT m.seq, sum(octet_length(m.data)) OVER (ORDER BY m.seq DESC) AS sum FROM (SELECT seq, data FROM tidings.messages ORDER BY seq DESC LIMIT ${messages}) m) f WHERE f.sum <= ${bytes}), s.head), s.* FROM ${stateCall(known)} s`;
}

/** Reads the row of `backCall`. Leaves out messages that match only the compared part of a long pattern. */
export function foundBackOf(row: Row, filter: Filter): Omit<FoundBack, 'log'> {
  const [seqs, names, start, examined] = row;
  const topics = (names ?? '').split(' ');
  return {
    seqs: elements(seqs ?? '').map(wholeNumber).filter((_, index) => filter.matches(topics[index] ?? '')),
    from: wholeNumber(start), examined: wholeNumber(examined),
  };
}

/**
 * A call of `find` or `find_back`, to select from. The functions take a filter as topics, first segments, and a regular expression. Of a pattern
 * such as `a.b.>`, `narrow` first looks up the topics that begin with `a.b.`. If they are few, it searches these topics, and not the segment `a`.
 *
 * @param place `find` searches after this number, and `find_back` before it.
 */
function search(find: 'find' | 'find_back', filter: Filter | undefined, place: number, limits: readonly number[]): string {
  if (filter === undefined) return `tidings.${find}(${[place, 'NULL', strings([]), literal(''), ...limits].join(', ')})`;
  const { bySegment, areOpen } = beginningsOf(filter);
  // `deep`: the beginnings for `narrow`, such as `a.b.`. `shallow`: the first segments that a pattern such as `a.>` needs in full.
  const deep = [...bySegment.values()].filter((beginnings) => beginnings.every(isDeep)).flat();
  const shallow = areOpen ? ['*'] : [...bySegment].filter(([, beginnings]) => !beginnings.every(isDeep)).map(([segment]) => segment);
  const [topics, segments, pattern] = [strings(filter.topics), strings(shallow), literal(regularExpression(filter.patterns))];
  if (areOpen || deep.length === 0) return `tidings.${find}(${[place, topics, segments, pattern, ...limits].join(', ')})`;
  const found = find === 'find' ? 'f.seqs, f.scanned' : 'f.seqs, f.names, f.start';
  const between = find === 'find' ? [place, Number.MAX_SAFE_INTEGER] : [-1, place];
  return `(SELECT ${found}, f.examined + n.examined AS examined
    FROM tidings.narrow(${[...between, topics, segments, strings(deep), pattern, PROBE_ROWS, SCANNED_MAX_ENTRIES].join(', ')}) AS n,
      LATERAL tidings.${find}(${[place, 'n.all_topics', 'n.all_segments', pattern, ...limits].join(', ')}) AS f)`;
}

/** Shortens a pattern to `most` segments and `>`. The result matches everything that the pattern matches, and more. */
function shortened(segments: readonly string[], most: number): readonly string[] {
  return segments.length > most + 1 ? [...segments.slice(0, most), '>'] : segments;
}

/** Whether a row of `readCall` is the first one, which has no message. */
export function isSummary(row: Row): boolean {
  return row[2] === null;
}

export function summaryOf(row: Row): { readonly scanned: number; readonly examined: number; readonly erasures: number } {
  return { scanned: wholeNumber(row[0]), examined: wholeNumber(row[1]), erasures: wholeNumber(row[3]) };
}

/** The messages of the other rows, in the order of their numbers. Drops messages that match only the compared part of a long pattern. */
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
 * A regular expression for the server, which matches at least what the patterns match. `a.*.c` becomes `^(?:a\.[^.]+\.c)$`. It matches more if patterns are
 * shortened.
 */
function regularExpression(patterns: readonly string[]): string {
  const most = Math.max(1, Math.min(COMPARED_MAX_SEGMENTS, Math.floor(FILTER_MAX_SEGMENTS / patterns.length)));
  const alternatives = patterns.map((pattern) => shortened(pattern.split('.'), most).map((segment) => {
    if (segment === '*') return '[^.]+';
    return segment === '>' ? '.+' : segment.replace(/[^\p{L}\p{N}_-]/gu, (character) => `\\U${character.codePointAt(0)!.toString(16).padStart(8, '0')}`);
  }).join('\\.'));
  return `^(?:${alternatives.join('|')})$`;
}
