import { ERASED_EVENT } from '../../../model/message.ts';
import { holdingOf } from '../../rows/topic-rows.ts';
import type { TopicHolding, TopicNames, TopicStore } from '../../contracts/topic-store.ts';
import { listIn, numberIn, partsOf, textIn } from '../connection/json-values.ts';
import { PG_ROW_OVERHEAD_BYTES, stateCall } from '../messages/append.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import type { KnownLog } from '../messages/known-log.ts';
import { strings } from '../connection/literals.ts';

/** Makes the server walk the index of topics. Otherwise, if its statistics take a topic for a rare one, it would sort all its messages, or read the whole table. */
const BY_INDEX = 'SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off';

export interface PostgresTopicStoreDependencies {
  /** Throws while the store is not open. */
  readonly use: () => PgConnections;
  readonly known: KnownLog;
}

/** Makes SQL of each method of `TopicStore`, and reads its answer. */
export class PostgresTopicStore implements TopicStore {
  readonly #use: () => PgConnections;
  readonly #known: KnownLog;

  constructor({ use, known }: PostgresTopicStoreDependencies) {
    this.#use = use;
    this.#known = known;
  }

  async names({ ranges, limit }: TopicNames): Promise<readonly string[]> {
    const known = this.#known.lineage;
    const next = (condition: string): string => `(SELECT m.topic FROM tidings.messages m WHERE ${condition} AND m.topic < r.until COLLATE "C" ORDER BY m.topic LIMIT 1)`;
    // Each step seeks the next topic in the index, and skips all entries of the topic before it. The server takes no step beyond the limit.
    return this.#use().read(`${BY_INDEX}; SELECT (SELECT json_agg(f.topic) FROM (
        SELECT n.topic FROM unnest(${strings(ranges.map(({ from }) => from))}, ${strings(ranges.map(({ before }) => before))}) WITH ORDINALITY AS r (since, until, place), LATERAL (
          WITH RECURSIVE t (topic) AS (
            SELECT ${next('m.topic >= r.since COLLATE "C"')}
            UNION ALL SELECT ${next('m.topic > t.topic')} FROM t WHERE t.topic IS NOT NULL)
          SELECT t.topic FROM t WHERE t.topic IS NOT NULL) n LIMIT ${limit}) f), s.* FROM ${stateCall(known)} s`, ([row]) => {
      this.#known.state(row!, known);
      return listIn(row![0]).map(textIn);
    });
  }

  async holdings(topics: readonly string[], maxMessages: number): Promise<readonly TopicHolding[]> {
    const known = this.#known.lineage;
    const isCounted = `f.place <= ${maxMessages}`;
    // The server knows the length of data without reading it.
    return this.#use().read(`${BY_INDEX}; SELECT (SELECT json_agg(json_build_array(c.found, c.seq, c.time, c.data, c.events) ORDER BY n.place)
      FROM unnest(${strings(topics)}) WITH ORDINALITY AS n (topic, place), LATERAL (
        SELECT count(*) AS found, max(f.seq) AS seq, max(f.time) AS time, coalesce(sum(octet_length(f.data)) FILTER (WHERE ${isCounted}), 0) AS data,
          coalesce(sum(octet_length(f.event)) FILTER (WHERE ${isCounted} AND f.event <> '${ERASED_EVENT}'), 0) AS events
        FROM (SELECT m.seq, m.time, m.data, m.event, row_number() OVER (ORDER BY m.seq + 0 DESC) AS place
          FROM tidings.messages m WHERE m.topic = n.topic COLLATE "C" ORDER BY m.seq + 0 DESC LIMIT ${maxMessages + 1}) f) c), s.* FROM ${stateCall(known)} s`, ([row]) => {
      const { lineage } = this.#known.state(row!, known);
      return listIn(row![0]).map((one, index) => {
        const [found, seq, time, data, events] = partsOf(one);
        const newest = seq === null ? undefined : { ...lineage.at(numberIn(seq)), time: numberIn(time) };
        return holdingOf(topics[index]!, { found: numberIn(found), dataBytes: numberIn(data), eventBytes: numberIn(events), newest }, maxMessages, PG_ROW_OVERHEAD_BYTES);
      });
    });
  }
}
