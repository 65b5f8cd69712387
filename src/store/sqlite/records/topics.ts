import type Database from 'better-sqlite3';
import { byBytes } from '../../../model/byte-order.ts';
import { ERASED_EVENT } from '../../../model/message.ts';
import { holdingOf } from '../../rows/topic-rows.ts';
import type { TopicHolding, TopicNames, TopicStore } from '../../contracts/topic-store.ts';
import { SQLITE_ROW_OVERHEAD_BYTES } from '../files/log-state.ts';
import type { CallEffects, CallTable, PerformCall } from './side-call.ts';

/** The counts of one topic (`TopicRow`); nulls if it has no messages. */
export interface TopicCount {
  readonly found: number;
  readonly seq: number | null;
  /** The id of an epoch. */
  readonly epoch: number | null;
  readonly time: number | null;
  readonly dataBytes: number | null;
  readonly eventBytes: number | null;
}

/** The calls of `TopicStore`. */
export interface TopicCalls {
  topicNames: { argument: TopicNames; answer: readonly string[] };
  topicCounts: { argument: { readonly topics: readonly string[]; readonly maxMessages: number }; answer: readonly TopicCount[] };
}

export const TOPIC_EFFECTS: CallEffects<TopicCalls> = {
  topicNames: 'read',
  topicCounts: 'read',
};

/** The lowest character that a topic may have. So the topics after `a` are those at or after `a!`. */
const NEXT_CHARACTER = '!';

/** Finds and counts topics, inside the caller's transaction, in both tables of the index (topic-index.ts). */
export class Topics implements CallTable<TopicCalls> {
  readonly #firstMoved: Database.Statement<[string, string], string | null>;
  readonly #firstRecent: Database.Statement<[string, string], string | null>;
  readonly #count: Database.Statement<[{ topic: string; max: number; most: number }], TopicCount>;

  constructor({ db }: { readonly db: Database.Database }) {
    const first = (table: string): Database.Statement<[string, string], string | null> => db.prepare<[string, string], string | null>(`SELECT min(topic) FROM ${table} WHERE topic >= ? AND topic < ?`).pluck();
    this.#firstMoved = first('topics');
    this.#firstRecent = first('recent');
    const newest = (table: string): string => `SELECT * FROM (SELECT seq FROM ${table} WHERE topic = :topic ORDER BY seq DESC LIMIT :max)`;
    const isCounted = 'n.place <= :most';
    // SQLite finds the length of a value in its row, without reading long data. With one max(), it takes the other columns from the row of the maximum.
    this.#count = db.prepare(`SELECT count(*) AS found, max(m.seq) AS seq, m.epoch AS epoch, m.time AS time, sum(octet_length(m.data)) FILTER (WHERE ${isCounted}) AS dataBytes,
        coalesce(sum(octet_length(m.event)) FILTER (WHERE ${isCounted} AND m.event <> '${ERASED_EVENT}'), 0) AS eventBytes
      FROM (SELECT seq, row_number() OVER (ORDER BY seq DESC) AS place FROM (${newest('recent')} UNION ALL ${newest('topics')}) ORDER BY seq DESC LIMIT :max) AS n CROSS JOIN messages AS m ON m.seq = n.seq`);
  }

  topicNames({ ranges, limit }: TopicNames): readonly string[] {
    const names: string[] = [];
    for (const { from, before } of ranges) {
      for (let next = from; names.length < limit; next = names.at(-1)! + NEXT_CHARACTER) {
        const name = lesser(this.#firstMoved.get(next, before) ?? undefined, this.#firstRecent.get(next, before) ?? undefined);
        if (name === undefined) break;
        names.push(name);
      }
    }
    return names;
  }

  topicCounts({ topics, maxMessages }: TopicCalls['topicCounts']['argument']): readonly TopicCount[] {
    return topics.map((topic) => this.#count.get({ topic, most: maxMessages, max: maxMessages + 1 })!);
  }
}

/** The lesser name, in the order of bytes. */
function lesser(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return byBytes(one, other) <= 0 ? one : other;
}

/** The main thread's end: turns each method into a call of `Topics`. */
export class SqliteTopicStore implements TopicStore {
  readonly #call: PerformCall<TopicCalls>;
  readonly #epochName: (id: number) => string;

  /** @param epochName Returns the name of the epoch with an id. */
  constructor(call: PerformCall<TopicCalls>, epochName: (id: number) => string) {
    this.#call = call;
    this.#epochName = epochName;
  }

  names(query: TopicNames): Promise<readonly string[]> {
    return this.#call('topicNames', query);
  }

  async holdings(topics: readonly string[], maxMessages: number): Promise<readonly TopicHolding[]> {
    const counts = await this.#call('topicCounts', { topics, maxMessages });
    return counts.map(({ found, seq, epoch, time, dataBytes, eventBytes }, index) => {
      const newest = seq === null || epoch === null || time === null ? undefined : { epoch: this.#epochName(epoch), seq, time };
      return holdingOf(topics[index]!, { found, dataBytes: dataBytes ?? 0, eventBytes: eventBytes ?? 0, newest }, maxMessages, SQLITE_ROW_OVERHEAD_BYTES);
    });
  }
}
