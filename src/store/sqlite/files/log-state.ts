import type Database from 'better-sqlite3';
import { ERASED_EVENT } from '../../../model/message.ts';
import { believe, type KnownTimes } from '../../believed-clock.ts';
import { refuseLevel } from '../../level.ts';
import { TOPIC_FACTOR } from '../../row-bytes.ts';
import { StoreError } from '../../store.ts';

/** The bytes of a message beyond its names and data: its other fields, and its entries in two indexes. Part of the log's size. */
export const SQLITE_ROW_OVERHEAD_BYTES = 64;

/** Whether a row of `messages` was counted with its topic alone, as SQL. */
const IS_COUNTED_ONCE = 'seq < (SELECT named_from FROM retention)';
/** The bytes that the event name of a row counts (row-bytes.ts), as SQL. The mark of an erased one counts nothing. */
export const EVENT_NAME_BYTES = `(CASE WHEN event IS NULL OR event = '${ERASED_EVENT}' OR ${IS_COUNTED_ONCE} THEN 0 ELSE octet_length(event) END)`;
/** The bytes that its topic and event name count. */
export const NAME_BYTES = `((CASE WHEN ${IS_COUNTED_ONCE} THEN 1 ELSE ${TOPIC_FACTOR} END) * octet_length(topic) + ${EVENT_NAME_BYTES})`;

/** An epoch as it crosses to the main thread. */
export interface EpochRow {
  readonly id: number;
  readonly epoch: string;
  readonly first: number;
  readonly secret: string | null;
}

/** The state of the log in one snapshot; the epochs only when the main thread does not know the newest one. */
export interface Snapshot {
  readonly head: number;
  readonly oldest: number;
  readonly now: number;
  readonly epoch: number;
  readonly epochs: readonly EpochRow[] | undefined;
  readonly erasures: number;
}

/** The rows that describe the log. */
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

/** An answer of the store that carries the log's state in another form. */
export type AnswerWith<Log, Answer> = Omit<Answer, 'log'> & { readonly log: Log };

/** Asks for the state of the log, inside the caller's transaction. */
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

  /** Throws when this program does not understand the log. There is a row once an instance has opened the log. */
  row(): LogRow {
    const row = this.#row.get()!;
    refuseLevel(row.level);
    return row;
  }

  /** The store's view of the time, with the machine's clock of now. */
  times({ oldest, keptClock }: LogRow): KnownTimes {
    return { machine: Date.now(), kept: keptClock, oldest: keptClock === null ? this.#timeOf.get(oldest) : undefined };
  }

  /** Invariant 10: the clock by which something is deleted for good. One that is far ahead deletes nothing. Before an instance has opened the log, nothing else is known of the time. */
  believed(): number {
    return this.logId() === undefined ? Date.now() : believe(this.times(this.row()));
  }

  logId(): string | undefined {
    return this.#logId.get();
  }

  /** @param known The newest epoch that the main thread knows. */
  snapshot(row: LogRow, known: number): Snapshot {
    const list = row.epoch === known ? undefined : this.#epochs.all();
    if (list !== undefined && list.at(-1)?.id !== row.epoch) throw new StoreError('unavailable', 'the database file is damaged: its epochs do not end in the one of its head');
    return { head: row.seq, oldest: row.oldest, now: clock(row), epoch: row.epoch, epochs: list, erasures: row.erasures };
  }
}

/** Invariant 10: the store's clock never stands before the newest message, wherever the machine's was set. */
export function clock(row: Pick<LogRow, 'time'>): number {
  return Math.max(Date.now(), row.time);
}
