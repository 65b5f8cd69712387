import type Database from 'better-sqlite3';
import { believe, isRefuted } from '../../believed-clock.ts';
import { rowBytes } from '../../row-bytes.ts';
import { clock, SQLITE_ROW_OVERHEAD_BYTES, type LogRow, type LogStateQuery } from '../files/log-state.ts';
import { MultiRowInsert } from './multi-row-insert.ts';
import type { TopicIndex } from './topic-index.ts';
import { CONFLICT_CODE, OUTCOME_NUMBERS, OUTDATED_CODE, REPLAYED_CODE, Requests, STORED_CODE, type PackedOutcomes, type PackedRequests } from './worker-packing.ts';

/**
 * This room is SQL on SQLite for messages: append, read, seek, trim. Its functions run in a worker thread, inside a transaction. Requests come in and
 * rows go out, packed into few buffers for the way between threads. Epochs tell one log from another.
 */

const MESSAGE_COLUMNS = ['seq', 'epoch', 'time', 'expires', 'topic', 'event', 'json', 'data'];
const KEY_COLUMNS = ['scope', 'key', 'fingerprint', 'epoch', 'first', 'time', 'expires'];

interface KeyRow {
  readonly fingerprint: Buffer;
  readonly epoch: number;
  readonly first: number;
  readonly time: number;
}

/** An `Appended` as it crosses to the main thread. */
export interface PackedAppended {
  readonly outcomes: PackedOutcomes;
  readonly log: LogRow;
}

/** The packed outcome of a step that is not the next one of its source. */
export const OUTDATED: readonly number[] = [OUTDATED_CODE, 0, 0, 0];

/** The outcomes of requests, and the rows to insert for them, as `MultiRowInsert` takes them. */
interface Plan {
  readonly outcomes: PackedOutcomes;
  readonly keys: readonly unknown[];
  readonly messages: readonly unknown[];
  readonly seq: number;
  readonly bytes: number;
}

export interface AppenderDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
  readonly topicIndex: TopicIndex;
}

/** Stores requests, inside the caller's write transaction. The driver's own statements: this is the hot path. */
export class Appender {
  readonly #logState: LogStateQuery;
  readonly #topicIndex: TopicIndex;
  readonly #messages: MultiRowInsert;
  readonly #newKeys: MultiRowInsert;
  readonly #keys: MultiRowInsert;
  readonly #findKey: Database.Statement<[string, string, number], KeyRow>;
  readonly #forgetKeys: Database.Statement<[number]>;
  readonly #moveHead: Database.Statement<[number, number, number]>;
  readonly #keepClock: Database.Statement<[number]>;

  constructor({ db, logState, topicIndex }: AppenderDependencies) {
    this.#logState = logState;
    this.#topicIndex = topicIndex;
    this.#messages = new MultiRowInsert({ db, into: 'INSERT INTO messages', columns: MESSAGE_COLUMNS });
    this.#newKeys = new MultiRowInsert({ db, into: 'INSERT INTO keys', columns: KEY_COLUMNS, otherwise: 'ON CONFLICT DO NOTHING' });
    this.#keys = new MultiRowInsert({ db, into: 'INSERT OR REPLACE INTO keys', columns: KEY_COLUMNS });
    this.#findKey = db.prepare('SELECT fingerprint, epoch, first, time FROM keys WHERE scope = ? AND key = ? AND expires > ?');
    this.#forgetKeys = db.prepare('DELETE FROM keys WHERE id > (SELECT max(id) FROM keys) - ?');
    this.#moveHead = db.prepare('UPDATE head SET seq = ?, time = ?, bytes = ?');
    this.#keepClock = db.prepare('UPDATE retention SET clock = ?');
  }

  append(packed: PackedRequests): PackedAppended {
    // Invariant 2: the number comes from the head row, read under the write lock that this transaction began with.
    const before = this.#logState.row();
    const now = clock(before);
    const plan = this.#withNewKeys(packed, before, now) ?? this.#withKnownKeys(packed, before, now);
    this.#messages.insert(plan.messages);
    const { outcomes, seq, bytes } = plan;
    this.#topicIndex.add(before.seq, seq);
    const time = seq === before.seq ? before.time : now;
    // An empty append tests whether the log can be written. SQLite writes no page for an UPDATE that changes nothing, but does for two that cancel out.
    if (packed.requests === 0) this.#moveHead.run(seq, time, bytes + 1);
    this.#moveHead.run(seq, time, bytes);
    // Invariant 10.
    const isClockRefuted = seq !== before.seq && isRefuted(before.keptClock, now);
    if (isClockRefuted) this.#keepClock.run(now);
    return { outcomes, log: { ...before, seq, time, bytes, keptClock: isClockRefuted ? now : before.keptClock } };
  }

  /** The usual case: every key is new, and inserting them proves it. Returns undefined if one is there already. */
  #withNewKeys(packed: PackedRequests, before: LogRow, now: number): Plan | undefined {
    const plan = planOf(packed, before, now, undefined);
    const inserted = this.#newKeys.insert(plan.keys);
    if (inserted * KEY_COLUMNS.length === plan.keys.length) return plan;
    this.#forgetKeys.run(inserted);
    return undefined;
  }

  #withKnownKeys(packed: PackedRequests, before: LogRow, now: number): Plan {
    // Invariant 10: a clock that is far ahead must not forget a key, or a publish would be stored twice.
    const believed = believe(this.#logState.times(before));
    const plan = planOf(packed, before, now, (scope, key) => this.#findKey.get(scope, key, believed));
    // Rows with the same keys have expired, and are replaced.
    this.#keys.insert(plan.keys);
    return plan;
  }
}

/** @param find The messages stored with a key that has not expired. Without it, every key counts as new. */
function planOf(packed: PackedRequests, before: LogRow, now: number, find: ((scope: string, key: string) => KeyRow | undefined) | undefined): Plan {
  const requests = new Requests(packed);
  const outcomes = new Float64Array(packed.requests * OUTCOME_NUMBERS);
  const keys: unknown[] = [];
  const messages: unknown[] = [];
  /** New keys in this plan. */
  const added = new Map<string, KeyRow>();
  const { epoch } = before;
  let { seq, bytes } = before;
  let at = 0;
  const settle = (kind: number, answer: Omit<KeyRow, 'fingerprint'>): void => {
    outcomes[at++] = kind;
    outcomes[at++] = answer.epoch;
    outcomes[at++] = answer.first;
    outcomes[at++] = answer.time;
  };
  while (requests.next()) {
    const { scope, key, fingerprint, window } = requests;
    if (find !== undefined && requests.hasKey) {
      const name = `${scope.length} ${scope}${key}`;
      const known = find(scope, key) ?? added.get(name);
      if (known !== undefined) {
        requests.passOver();
        settle(known.fingerprint.equals(fingerprint) ? REPLAYED_CODE : CONFLICT_CODE, known);
        continue;
      }
      added.set(name, { fingerprint, epoch, first: seq + 1, time: now });
    }
    settle(STORED_CODE, { epoch, first: seq + 1, time: now });
    if (requests.hasKey) keys.push(scope, key, fingerprint, epoch, seq + 1, now, now + window);
    for (let message = 0; message < requests.messages; message++) {
      requests.nextDraft();
      const { topic, event, json, data, ttl } = requests;
      messages.push(++seq, epoch, now, ttl === 0 ? 0 : now + ttl * 1000, topic, event, json, data);
      bytes += rowBytes({ topic, event: event ?? undefined, data }, SQLITE_ROW_OVERHEAD_BYTES);
    }
  }
  return { outcomes, keys, messages, seq, bytes };
}
