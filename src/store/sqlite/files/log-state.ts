import type Database from 'better-sqlite3';
import { ERASED_EVENT } from '../../../model/message.ts';
import { believe, type KnownTimes } from '../../believed-clock.ts';
import { refuseLevel } from '../../level.ts';
import { TOPIC_FACTOR } from '../../row-bytes.ts';
import { StoreError } from '../../store.ts';

/** `Store.rowOverheadBytes`: about the bytes of a message's other fields, and of its entries in two indexes. */
export const SQLITE_ROW_OVERHEAD_BYTES = 64;

/** SQL: whether a row of `messages` is from before the migration 0008_counted_names.sql, and was counted with its topic once and without its event name. */
const IS_COUNTED_ONCE = 'seq < (SELECT named_from FROM retention)';
/** SQL: the bytes that the event name of a row adds to the log's size (row-bytes.ts). The mark of a tombstone adds none. */
export const EVENT_NAME_BYTES = `(CASE WHEN event IS NULL OR event = '${ERASED_EVENT}' OR ${IS_COUNTED_ONCE} THEN 0 ELSE octet_length(event) END)`;
/** SQL: the bytes that the topic and event name of a row add to the log's size. */
export const NAME_BYTES = `((CASE WHEN ${IS_COUNTED_ONCE} THEN 1 ELSE ${TOPIC_FACTOR} END) * octet_length(topic) + ${EVENT_NAME_BYTES})`;

/** An epoch as it crosses to the main thread. */
export interface EpochRow {
  readonly id: number;
  readonly epoch: string;
  readonly first: number;
  readonly secret: string | null;
}

/** The state of the log, as it crosses to the main thread. */
export interface Snapshot {
  readonly head: number;
  readonly oldest: number;
  readonly now: number;
  /** The id of the newest epoch. */
  readonly epoch: number;
  /** Undefined if the main thread knows the newest epoch already. */
  readonly epochs: readonly EpochRow[] | undefined;
  readonly erasures: number;
}

/** The rows of `head` and `retention`, which describe the log (schema.ts). */
export interface LogRow {
  readonly seq: number;
  readonly epoch: number;
  readonly time: number;
  readonly bytes: number;
  readonly oldest: number;
  readonly deletedBytes: number;
  readonly deletedTime: number | null;
  readonly level: number;
  /** `retention.clock`. */
  readonly keptClock: number | null;
  /** The version of the newest erasure. */
  readonly erasures: number;
}

/** An answer of the store, with its `log` in another form: a `LogRow` inside a worker, a `Snapshot` on the way to the main thread. */
export type AnswerWith<Log, Answer> = Omit<Answer, 'log'> & { readonly log: Log };

/** Reads the state of the log, inside the caller's transaction. */
export class LogStateQuery {
  readonly #row: Database.Statement<[], LogRow>;
  readonly #epochs: Database.Statement<[], EpochRow>;
  readonly #timeOf: Database.Statement<[number], number>;
  readonly #logId: Database.Statement<[], string>;

  constructor({ db }: { db: Database.Database }) {
    this.#row = db.prepare('SELECT head.seq, head.epoch, head.time, head.bytes, retention.oldest, retention.bytes AS deletedBytes, '
      + 'retention.time AS deletedTime, head.level, retention.clock AS keptClock, coalesce((SELECT max(version) FROM erasures), 0) AS erasures FROM head, retention');
    this.#epochs = db.prepare('SELECT id, epoch, first, secret FROM epochs ORDER BY id');
    this.#timeOf = db.prepare<[number], number>('SELECT time FROM messages WHERE seq = ?').pluck();
    this.#logId = db.prepare<[], string>('SELECT log FROM head').pluck();
  }

  /** Throws if this program does not understand the log. Call it only on a log that an instance has opened (`logId`). */
  row(): LogRow {
    const row = this.#row.get()!;
    refuseLevel(row.level);
    return row;
  }

  /** The times from which the believed clock follows. */
  times({ oldest, keptClock }: LogRow): KnownTimes {
    return { machine: Date.now(), kept: keptClock, oldest: keptClock === null ? this.#timeOf.get(oldest) : undefined };
  }

  /** The believed clock, by which records are deleted for good (invariant 10). Before an instance has opened the log there is only the machine's clock. */
  believed(): number {
    return this.logId() === undefined ? Date.now() : believe(this.times(this.row()));
  }

  /** The id of the log; undefined before an instance has opened it. */
  logId(): string | undefined {
    return this.#logId.get();
  }

  /** @param known The id of the newest epoch that the main thread knows. */
  snapshot(row: LogRow, known: number): Snapshot {
    const list = row.epoch === known ? undefined : this.#epochs.all();
    if (list !== undefined && list.at(-1)?.id !== row.epoch) throw new StoreError('unavailable', 'the database file is damaged: its epochs do not end in the one of its head');
    return { head: row.seq, oldest: row.oldest, now: clock(row), epoch: row.epoch, epochs: list, erasures: row.erasures };
  }
}

/** Invariant 10: the store's clock is never earlier than the newest message, even if the machine's clock was set back. */
export function clock(row: Pick<LogRow, 'time'>): number {
  return Math.max(Date.now(), row.time);
}
