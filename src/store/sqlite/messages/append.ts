import type Database from 'better-sqlite3';
import { believe, isRefuted } from '../../believed-clock.ts';
import { OUTCOME_CODE } from '../../outcome-code.ts';
import { rowBytes } from '../../row-bytes.ts';
import { clock, SQLITE_ROW_OVERHEAD_BYTES, type LogRow, type LogStateQuery } from '../files/log-state.ts';
import { MultiRowInsert } from './multi-row-insert.ts';
import type { TopicIndex } from './topic-index.ts';
import { OUTCOME_NUMBERS, RequestReader, type PackedOutcomes, type PackedRequests } from './worker-packing.ts';

/**
 * The room `sqlite/messages` is SQL on SQLite for messages. Its functions run in a worker thread, inside a transaction that the caller began. Requests
 * and queries come in; outcomes and messages go out, packed for the way to the main thread. Read it in this order:
 *
 * - the way between the threads: `worker-packing.ts`;
 * - writing: this file with `multi-row-insert.ts`, the index of topics (`topic-index.ts`), retention (`trim.ts`);
 * - reading: `query.ts`, which merges the scans of `scan-merge.ts`; `seek.ts`;
 * - epochs, which tell one log from another: `epochs.ts` (worker), `known-epochs.ts` (main thread).
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

/** The packed outcome of a step whose fence or positions are outdated (`Connectors.isNext`). */
export const OUTDATED: readonly number[] = [OUTCOME_CODE.outdated, 0, 0, 0];

/** The outcomes of requests, and the rows to insert for them: their values one after the other, as `MultiRowInsert` takes them. */
interface Plan {
  readonly outcomes: PackedOutcomes;
  readonly keys: readonly unknown[];
  readonly messages: readonly unknown[];
  /** The head's number and bytes after the append. */
  readonly seq: number;
  readonly bytes: number;
}

export interface AppenderDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
  readonly topicIndex: TopicIndex;
}

/** Stores requests, inside the caller's write transaction. It uses the driver's statements and not drizzle's, because this is the hot path. */
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
    const { outcomes, messages, seq, bytes } = plan;
    this.#messages.insert(messages);
    this.#topicIndex.add(before.seq, seq);
    const time = seq === before.seq ? before.time : now;
    // An empty append tests whether the log can be written. SQLite writes no page for an UPDATE that changes nothing, so change the bytes and change them back.
    if (packed.requests === 0) this.#moveHead.run(seq, time, bytes + 1);
    this.#moveHead.run(seq, time, bytes);
    // Invariant 10: the log must not believe again in a clock that this message refutes (believed-clock.ts).
    const isClockRefuted = seq !== before.seq && isRefuted(before.keptClock, now);
    if (isClockRefuted) this.#keepClock.run(now);
    return { outcomes, log: { ...before, seq, time, bytes, keptClock: isClockRefuted ? now : before.keptClock } };
  }

  /** The usual case: every key is new, and inserting them proves it. Returns undefined, and inserts nothing, if the log has one of the keys already. */
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
    // Replaces rows with the same keys: `#findKey` did not return them, so they have expired.
    this.#keys.insert(plan.keys);
    return plan;
  }
}

/** @param find Returns the row of a key that has not expired. If undefined, every key counts as new. */
function planOf(packed: PackedRequests, before: LogRow, now: number, find: ((scope: string, key: string) => KeyRow | undefined) | undefined): Plan {
  const requests = new RequestReader(packed);
  const outcomes = new Float64Array(packed.requests * OUTCOME_NUMBERS);
  const keys: unknown[] = [];
  const messages: unknown[] = [];
  /** The new keys of this plan: a second request with one of them is a replay. */
  const added = new Map<string, KeyRow>();
  const { epoch } = before;
  let { seq, bytes } = before;
  let at = 0;
  const settle = (code: number, answer: Omit<KeyRow, 'fingerprint'>): void => {
    outcomes[at++] = code;
    outcomes[at++] = answer.epoch;
    outcomes[at++] = answer.first;
    outcomes[at++] = answer.time;
  };
  while (requests.next()) {
    const { scope, key, fingerprint, window } = requests;
    if (find !== undefined && requests.hasKey) {
      // The length keeps apart two keys whose scope and text join to the same string.
      const name = `${scope.length} ${scope}${key}`;
      const known = find(scope, key) ?? added.get(name);
      if (known !== undefined) {
        requests.skipMessages();
        settle(known.fingerprint.equals(fingerprint) ? OUTCOME_CODE.replayed : OUTCOME_CODE.conflict, known);
        continue;
      }
      added.set(name, { fingerprint, epoch, first: seq + 1, time: now });
    }
    settle(OUTCOME_CODE.stored, { epoch, first: seq + 1, time: now });
    if (requests.hasKey) keys.push(scope, key, fingerprint, epoch, seq + 1, now, now + window);
    for (let message = 0; message < requests.messages; message++) {
      requests.nextMessage();
      const { topic, event, json, data, ttl } = requests;
      messages.push(++seq, epoch, now, ttl === 0 ? 0 : now + ttl * 1000, topic, event, json, data);
      bytes += rowBytes({ topic, event: event ?? undefined, data }, SQLITE_ROW_OVERHEAD_BYTES);
    }
  }
  return { outcomes, keys, messages, seq, bytes };
}
