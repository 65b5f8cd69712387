import type Database from 'better-sqlite3';
import { ERASED_EVENT } from '../../../model/message.ts';
import { changesAfter } from '../../rows/erasure-rows.ts';
import { ERASURES_MAX_ENTRIES, ERASING_LEVEL, KEPT_ERASURES_MAX_ENTRIES, type ErasedMessage, type ErasedStep, type ErasureChanges } from '../../contracts/erasure-store.ts';
import { ERASE_SCAN_MAX_ROWS, ERASE_STEP_BYTES } from '../../limits.ts';
import { EVENT_NAME_BYTES, type LogStateQuery } from '../files/log-state.ts';
import { secureDelete } from '../files/secure-delete.ts';
import type { CallEffects, CallTable } from './side-call.ts';

/** A `TopicErasure` as it crosses to a worker. */
export interface PackedErasure {
  readonly topic: string;
  readonly after: number;
  readonly epoch: string;
  readonly through: number;
  readonly rows: number;
}

/** The calls of `ErasureStore`. `level` is the level of the log; below `ERASING_LEVEL` the call did nothing. An error would lose its class between the threads. */
export interface ErasureCalls {
  eraseMessage: { argument: { readonly epoch: string; readonly seq: number }; answer: { readonly level: number; readonly outcome: ErasedMessage } };
  eraseTopic: { argument: PackedErasure; answer: { readonly level: number; readonly step: ErasedStep } };
  erasureChanges: { argument: { readonly after: number }; answer: Omit<ErasureChanges, 'log'> };
}

export const ERASURE_EFFECTS: CallEffects<ErasureCalls> = {
  eraseMessage: 'commit',
  eraseTopic: 'commit',
  erasureChanges: 'read',
};

/** The parts of a row of `messages` that an erasure changes, and their bytes in the log's size. */
interface Row {
  readonly topic: string;
  readonly event: string | null;
  readonly bytes: number;
}

export interface ErasuresDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Erases messages and reads erasures, inside the caller's transaction. */
export class Erasures implements CallTable<ErasureCalls> {
  readonly #db: Database.Database;
  readonly #logState: LogStateQuery;
  readonly #epochAt: Database.Statement<[number], string>;
  readonly #message: Database.Statement<[number], Row>;
  readonly #erasedThrough: Database.Statement<[string], number>;
  readonly #ofTopic: Database.Statement<[string, number, number, string, number, number, number], number>;
  readonly #erase: Database.Statement<[number]>;
  readonly #count: Database.Statement<[number]>;
  readonly #remember: Database.Statement<[number, number, number, string]>;
  readonly #forget: Database.Statement<[number]>;
  readonly #changed: Database.Statement<[number, number], { readonly version: number; readonly seq: number; readonly topic: string; readonly prefix: number }>;

  constructor({ db, logState }: ErasuresDependencies) {
    this.#db = db;
    this.#logState = logState;
    this.#epochAt = db.prepare<[number], string>('SELECT epoch FROM epochs WHERE first <= ? ORDER BY id DESC LIMIT 1').pluck();
    this.#message = db.prepare(`SELECT topic, event, octet_length(data) + ${EVENT_NAME_BYTES} AS bytes FROM messages WHERE seq = ?`);
    this.#erasedThrough = db.prepare<[string], number>('SELECT coalesce(max(seq), 0) FROM erasures WHERE topic = ? AND prefix = 1').pluck();
    const part = (table: string): string => `SELECT seq FROM ${table} WHERE topic = ? AND seq > ? AND seq <= ?`;
    this.#ofTopic = db.prepare<[string, number, number, string, number, number, number], number>(`${part('topics')} UNION ALL ${part('recent')} ORDER BY seq LIMIT ?`).pluck();
    this.#erase = db.prepare(`UPDATE messages SET event = '${ERASED_EVENT}', json = 0, data = x'' WHERE seq = ?`);
    this.#count = db.prepare('UPDATE retention SET bytes = bytes + ?');
    this.#remember = db.prepare('INSERT INTO erasures (version, seq, prefix, wiped, topic) VALUES (?, ?, ?, 0, ?)');
    this.#forget = db.prepare('DELETE FROM erasures WHERE version <= ?');
    this.#changed = db.prepare('SELECT version, seq, topic, prefix FROM erasures WHERE version > ? ORDER BY version LIMIT ?');
  }

  eraseMessage({ epoch, seq }: { readonly epoch: string; readonly seq: number }): { readonly level: number; readonly outcome: ErasedMessage } {
    const { level, seq: head } = this.#logState.row();
    const row = level < ERASING_LEVEL || seq > head || this.#epochAt.get(seq) !== epoch ? undefined : this.#message.get(seq);
    if (row === undefined) return { level, outcome: 'absent' };
    if (row.event === ERASED_EVENT) return { level, outcome: 'before' };
    this.#eraseAll([seq], row.bytes, { topic: row.topic, prefix: 0 });
    return { level, outcome: 'erased' };
  }

  eraseTopic({ topic, after, epoch, through, rows }: PackedErasure): { readonly level: number; readonly step: ErasedStep } {
    const { level, seq: head } = this.#logState.row();
    if (level < ERASING_LEVEL || through > head || this.#epochAt.get(through) !== epoch) return { level, step: { erased: 0, scanned: through, more: false } };
    // Skip the messages that an earlier erasure of the topic has erased: a topic may have millions of tombstones.
    const from = Math.max(after, this.#erasedThrough.get(topic)!);
    const found = this.#ofTopic.all(topic, from, through, topic, from, through, ERASE_SCAN_MAX_ROWS + 1);
    const seqs: number[] = [];
    let bytes = 0;
    let scanned = from;
    let more = false;
    for (const [index, seq] of found.entries()) {
      more = seqs.length >= rows || bytes >= ERASE_STEP_BYTES || index === ERASE_SCAN_MAX_ROWS;
      if (more) break;
      scanned = seq;
      const row = this.#message.get(seq)!;
      if (row.event === ERASED_EVENT) continue;
      seqs.push(seq);
      bytes += row.bytes;
    }
    if (seqs.length > 0) this.#eraseAll(seqs, bytes, { topic, prefix: 1 });
    return { level, step: { erased: seqs.length, scanned: more ? scanned : through, more } };
  }

  erasureChanges({ after }: { readonly after: number }): Omit<ErasureChanges, 'log'> {
    const rows = this.#changed.all(after, ERASURES_MAX_ENTRIES).map(({ version, seq, topic, prefix }) => ({ version, seq, topic, isPrefix: prefix === 1 }));
    return changesAfter(after, this.#logState.row().erasures, rows);
  }

  #eraseAll(seqs: readonly number[], bytes: number, { topic, prefix }: { readonly topic: string; readonly prefix: 0 | 1 }): void {
    secureDelete(this.#db, () => {
      for (const seq of seqs) this.#erase.run(seq);
    });
    // The log's size is `head.bytes` less `retention.bytes`.
    this.#count.run(bytes);
    const version = this.#logState.row().erasures + 1;
    this.#remember.run(version, seqs.at(-1)!, prefix, topic);
    this.#forget.run(version - KEPT_ERASURES_MAX_ENTRIES);
  }
}
