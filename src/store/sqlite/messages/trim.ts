import type Database from 'better-sqlite3';
import { believe, isWorthKeeping } from '../../believed-clock.ts';
import { TRIM_STEP_BYTES } from '../../limits.ts';
import type { Trimmed, TrimPolicy } from '../../store.ts';
import { NAME_BYTES, SQLITE_ROW_OVERHEAD_BYTES, type AnswerWith, type LogRow, type LogStateQuery } from '../files/log-state.ts';
import type { TopicIndex } from './topic-index.ts';

interface OldRow {
  readonly seq: number;
  readonly time: number;
  readonly topic: string;
  readonly bytes: number;
}

interface OldKey {
  readonly id: number;
  readonly expires: number;
}

/** The keys that a step deleted. */
interface TrimmedKeys {
  readonly keys: number;
  readonly youngKeys: number;
  readonly heldKeys: number;
  readonly moreKeys: boolean;
}

export interface TrimmerDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
  readonly topicIndex: TopicIndex;
}

/** Deletes messages beyond the limits of age or size, inside the caller's write transaction. */
export class Trimmer {
  readonly #logState: LogStateQuery;
  readonly #oldest: Database.Statement<[number, number], OldRow>;
  readonly #delete: Database.Statement<[number]>;
  readonly #moveOldest: Database.Statement<[number, number, number | null]>;
  readonly #keepClock: Database.Statement<[number]>;
  readonly #topicIndex: TopicIndex;
  readonly #oldestKeys: Database.Statement<[number], OldKey>;
  readonly #newestKey: Database.Statement<[], number | null>;
  readonly #deleteKeys: Database.Statement<[number]>;

  constructor({ db, logState, topicIndex }: TrimmerDependencies) {
    this.#logState = logState;
    this.#topicIndex = topicIndex;
    this.#oldest = db.prepare<[number, number], OldRow>('SELECT seq, time, topic, octet_length(data) + '
      + `${NAME_BYTES} + ${SQLITE_ROW_OVERHEAD_BYTES} AS bytes FROM messages WHERE seq >= ? ORDER BY seq LIMIT ?`);
    this.#delete = db.prepare('DELETE FROM messages WHERE seq < ?');
    this.#moveOldest = db.prepare('UPDATE retention SET oldest = ?, bytes = bytes + ?, time = ?');
    this.#keepClock = db.prepare('UPDATE retention SET clock = ?');
    this.#oldestKeys = db.prepare<[number], OldKey>('SELECT id, expires FROM keys ORDER BY id LIMIT ?');
    this.#newestKey = db.prepare<[], number | null>('SELECT max(id) FROM keys').pluck();
    this.#deleteKeys = db.prepare('DELETE FROM keys WHERE id <= ?');
  }

  trim({ maxAge, maxBytes, maxKeys = 0, rows, counted }: TrimPolicy): AnswerWith<LogRow, Trimmed> {
    const before = this.#logState.row();
    // Age is counted by the machine's clock, unlike all else: after one message from a clock that was ahead, the log's own stands at that
    // message's time, and the whole log before it would seem as old as the clock was wrong (invariant 10). It is read once: what was believed is what counts.
    const known = this.#logState.times(before);
    const { machine } = known;
    const believed = believe({ ...known, counted });
    if (isWorthKeeping(believed, known)) this.#keepClock.run(believed);
    const tooOld = maxAge > 0 ? believed - maxAge : -Infinity;
    const size = before.bytes - before.deletedBytes;
    const isDue = (row: OldRow, freed: number): boolean => row.time < tooOld || (maxBytes > 0 && size - freed > maxBytes);

    // Invariant 9: only a prefix goes, so the first row that may stay ends it.
    let messages = 0;
    let freed = 0;
    let last: OldRow | undefined;
    let more = false;
    const topics = new Set<string>();
    for (const row of this.#oldest.iterate(before.oldest, rows + 1)) {
      if (!isDue(row, freed)) break;
      if (messages === rows || freed >= TRIM_STEP_BYTES) {
        more = true;
        break;
      }
      messages += 1;
      freed += row.bytes;
      last = row;
      topics.add(row.topic);
    }
    const { moreKeys, ...trimmedKeys } = this.#trimKeys(believed, maxKeys, rows);
    more ||= moreKeys;
    // An empty log counts as 0 bytes. Before 0008_counted_names.sql rows were counted otherwise, which could keep a log above its bound for ever.
    if ((last?.seq ?? before.oldest - 1) === before.seq) freed = size;
    if (last === undefined && freed !== 0) this.#moveOldest.run(before.oldest, freed, before.deletedTime);
    if (last === undefined) return { messages, ...trimmedKeys, more, bytes: size - freed, machine, believed, log: { ...before, deletedBytes: before.deletedBytes + freed } };

    this.#topicIndex.remove(topics, last.seq);
    this.#delete.run(last.seq + 1);
    this.#moveOldest.run(last.seq + 1, freed, last.time);
    const log = { ...before, oldest: last.seq + 1, deletedBytes: before.deletedBytes + freed, deletedTime: last.time };
    return { messages, ...trimmedKeys, more, bytes: size - freed, machine, believed, log };
  }

  /** Only a prefix goes here too: keys stand in the order in which they were used, and mostly expire in it. Their ids follow each other, so two of them tell how many there are. */
  #trimKeys(now: number, maxKeys: number, rows: number): TrimmedKeys {
    const newest = this.#newestKey.get() ?? 0;
    let keys = 0;
    let youngKeys = 0;
    let heldKeys = 0;
    let last: number | undefined;
    let moreKeys = false;
    for (const { id, expires } of this.#oldestKeys.iterate(rows + 1)) {
      heldKeys = newest - id + 1;
      const isYoung = expires > now;
      if (isYoung && (maxKeys === 0 || heldKeys <= maxKeys)) break;
      moreKeys = keys === rows;
      if (moreKeys) break;
      keys += 1;
      if (isYoung) youngKeys += 1;
      last = id;
      heldKeys = newest - id;
    }
    if (last !== undefined) this.#deleteKeys.run(last);
    return { keys, youngKeys, heldKeys, moreKeys };
  }
}
