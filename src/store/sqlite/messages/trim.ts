import type Database from 'better-sqlite3';
import { believe, isWorthKeeping } from '../../believed-clock.ts';
import { TRIM_STEP_BYTES } from '../../limits.ts';
import type { Trimmed, TrimPolicy } from '../../store.ts';
import { NAME_BYTES, SQLITE_ROW_OVERHEAD_BYTES, type AnswerWith, type LogRow, type LogStateQuery } from '../files/log-state.ts';
import type { TopicIndex } from './topic-index.ts';

/** A message that may be due. */
interface OldRow {
  readonly seq: number;
  readonly time: number;
  readonly topic: string;
  /** Its bytes in the log's size. */
  readonly bytes: number;
}

interface OldKey {
  readonly id: number;
  readonly expires: number;
}

/** The messages that a step deletes. */
interface DueMessages {
  readonly messages: number;
  readonly bytes: number;
  /** The newest of them. */
  readonly last: OldRow | undefined;
  readonly topics: ReadonlySet<string>;
  /** Whether another step would delete more. */
  readonly moreMessages: boolean;
}

/** The part of `Trimmed` about idempotency keys; `moreKeys`: another step would delete more. */
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

/** Deletes messages and idempotency keys beyond their limits, inside the caller's write transaction. */
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
    // Invariant 10: age is counted by the believed clock, not by the log's own. After one message from a clock that was a year ahead, the log's own clock
    // stands a year ahead, and every message before it would seem a year old.
    const known = this.#logState.times(before);
    const { machine } = known;
    const believed = believe({ ...known, counted });
    if (isWorthKeeping(believed, known)) this.#keepClock.run(believed);
    const tooOld = maxAge > 0 ? believed - maxAge : -Infinity;
    const mostBytes = maxBytes > 0 ? maxBytes : Infinity;
    const size = before.bytes - before.deletedBytes;
    const { messages, bytes, last, topics, moreMessages } = this.#dueMessages(before.oldest, rows, (row, freed) => row.time < tooOld || size - freed > mostBytes);
    const { moreKeys, ...trimmedKeys } = this.#trimKeys(believed, maxKeys, rows);

    const end = last?.seq ?? before.oldest - 1;
    // An empty log has 0 bytes. Versions before the migration 0008_counted_names.sql counted rows differently; the rest could keep the log above its bound for ever.
    const freed = end === before.seq ? size : bytes;
    if (last !== undefined) {
      this.#topicIndex.remove(topics, end);
      this.#delete.run(end + 1);
    }
    const log = { ...before, oldest: end + 1, deletedBytes: before.deletedBytes + freed, deletedTime: last?.time ?? before.deletedTime };
    if (last !== undefined || freed !== 0) this.#moveOldest.run(log.oldest, freed, log.deletedTime);
    return { messages, ...trimmedKeys, more: moreMessages || moreKeys, bytes: size - freed, machine, believed, log };
  }

  /** Finds the messages to delete in this step. Invariant 9: they are a prefix of the log, so the first row that is not due ends it. */
  #dueMessages(oldest: number, rows: number, isDue: (row: OldRow, freed: number) => boolean): DueMessages {
    let messages = 0;
    let bytes = 0;
    let last: OldRow | undefined;
    const topics = new Set<string>();
    for (const row of this.#oldest.iterate(oldest, rows + 1)) {
      if (!isDue(row, bytes)) break;
      if (messages === rows || bytes >= TRIM_STEP_BYTES) return { messages, bytes, last, topics, moreMessages: true };
      messages += 1;
      bytes += row.bytes;
      last = row;
      topics.add(row.topic);
    }
    return { messages, bytes, last, topics, moreMessages: false };
  }

  /** Deletes keys in the order of their ids, in which they were stored, and mostly expire. The ids are consecutive, so the newest and the oldest tell how many there are. */
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
