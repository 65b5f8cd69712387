import type Database from 'better-sqlite3';

/**
 * The index of topics: the numbers of the messages of each topic, and of each first segment of topics.
 *
 * SQLite's own indexes would dominate the cost of a commit. Thirty messages on thirty topics change thirty distant pages, and a commit writes each changed
 * page in full. So the newest entries are together in a small table, and move to the large tables many at a time:
 *
 * | table | has |
 * |---|---|
 * | `recent` | the newest messages, by topic |
 * | `topics` | all other messages, by topic |
 * | `segments` | the messages of `topics` whose topic has several segments, by the first segment |
 */

/** The number of entries at which `recent` moves to the large tables. It has a few pages then, so a small commit changes few pages. With more entries, the move would delay a commit for long. */
const RECENT_MAX_ENTRIES = 1_000;

/** Maintains the index, inside the caller's write transaction. */
export class TopicIndex {
  readonly #count: Database.Statement<[], number>;
  readonly #add: Database.Statement<[number]>;
  readonly #moveTopics: Database.Statement<[number]>;
  readonly #moveSegments: Database.Statement<[number]>;
  readonly #empty: Database.Statement<[]>;
  readonly #removeRecent: Database.Statement<[string, number]>;
  readonly #removeTopic: Database.Statement<[string, number]>;
  readonly #removeSegment: Database.Statement<[string, number]>;

  constructor({ db }: { db: Database.Database }) {
    const all = 'SELECT topic, seq FROM recent UNION ALL SELECT topic, seq FROM messages WHERE seq > ?';
    this.#count = db.prepare<[], number>('SELECT count(*) FROM recent').pluck();
    this.#add = db.prepare('INSERT INTO recent (topic, seq) SELECT topic, seq FROM messages WHERE seq > ?');
    // In the order of the index, so that SQLite seeks each of its pages once.
    this.#moveTopics = db.prepare(`INSERT INTO topics (topic, seq) SELECT topic, seq FROM (${all}) ORDER BY topic, seq`);
    this.#moveSegments = db.prepare(`INSERT INTO segments (segment, seq) SELECT substr(topic, 1, instr(topic, '.') - 1) AS segment, seq FROM (${all}) `
      + "WHERE instr(topic, '.') > 0 ORDER BY segment, seq");
    this.#empty = db.prepare('DELETE FROM recent');
    this.#removeRecent = db.prepare('DELETE FROM recent WHERE topic = ? AND seq <= ?');
    this.#removeTopic = db.prepare('DELETE FROM topics WHERE topic = ? AND seq <= ?');
    this.#removeSegment = db.prepare('DELETE FROM segments WHERE segment = ? AND seq <= ?');
  }

  /** Adds the messages after a number, up to the head of the log. */
  add(before: number, head: number): void {
    if (head === before) return;
    if (this.#count.get()! + head - before < RECENT_MAX_ENTRIES) {
      this.#add.run(before);
      return;
    }
    this.#moveTopics.run(before);
    this.#moveSegments.run(before);
    this.#empty.run();
  }

  /** Removes the messages of some topics, up to a number. */
  remove(topics: ReadonlySet<string>, until: number): void {
    const segments = new Set<string>();
    for (const topic of topics) {
      this.#removeTopic.run(topic, until);
      this.#removeRecent.run(topic, until);
      if (topic.includes('.')) segments.add(topic.slice(0, topic.indexOf('.')));
    }
    for (const segment of segments) this.#removeSegment.run(segment, until);
  }
}
