import type { Position } from '../../../model/position.ts';
import { changesAfter, requireErasingLevel, type ErasureRow } from '../../rows/erasure-rows.ts';
import { ERASURES_MAX_ENTRIES, ERASING_LEVEL, KEPT_ERASURES_MAX_ENTRIES, type ErasedMessage, type ErasedStep, type ErasureChanges, type ErasureStore, type TopicErasure, type Wiped } from '../../contracts/erasure-store.ts';
import { UNDERSTOOD_LEVEL } from '../../level.ts';
import { ERASE_SCAN_MAX_ROWS, ERASE_STEP_BYTES } from '../../limits.ts';
import { LOST_MAX_VERSIONS, STANDBY } from '../connection/expressions.ts';
import { flagIn, listIn, numberIn, partsOf, textIn } from '../connection/json-values.ts';
import { stateCall } from '../messages/append.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import { NEWEST_ERASURE, type KnownLog } from '../messages/known-log.ts';
import { literal, wholeNumber } from '../connection/literals.ts';

/** Makes SQL of each method of `ErasureStore`, and reads its answer. */
export class PostgresErasureStore implements ErasureStore {
  readonly #use: () => PgConnections;
  readonly #known: KnownLog;
  readonly #vacuum: () => Promise<void>;

  /**
   * @param dependencies.use Throws while the store is not open.
   * @param dependencies.vacuum Vacuums the table of messages, however long that takes.
   */
  constructor({ use, known, vacuum }: { use: () => PgConnections; known: KnownLog; vacuum: () => Promise<void> }) {
    this.#use = use;
    this.#known = known;
    this.#vacuum = vacuum;
  }

  async eraseMessage(position: Position): Promise<ErasedMessage> {
    const { isThere, erased } = await this.#erase({ topic: undefined, after: 0, through: position, rows: 1 });
    if (!isThere) return 'absent';
    return erased > 0 ? 'erased' : 'before';
  }

  async eraseTopic(query: TopicErasure): Promise<ErasedStep> {
    const { erased, scanned, more } = await this.#erase(query);
    return { erased, scanned, more };
  }

  /** Erases one message, if `topic` is undefined, or a part of a topic. */
  async #erase({ topic, after, through, rows }: Omit<TopicErasure, 'topic'> & { readonly topic: string | undefined }): Promise<ErasedStep & { readonly isThere: boolean }> {
    // Skip the messages that an earlier erasure of the topic has erased: a topic may have millions of tombstones.
    const from = topic === undefined ? after : `(SELECT greatest(${after}, max(seq)) FROM tidings.erasures WHERE topic = ${literal(topic)} AND prefix)`;
    const call = `SELECT * FROM tidings.erase(${[
      topic === undefined ? 'NULL' : literal(topic), from, through.seq, literal(through.epoch), ERASING_LEVEL, rows, ERASE_STEP_BYTES, ERASE_SCAN_MAX_ROWS, KEPT_ERASURES_MAX_ENTRIES, LOST_MAX_VERSIONS, UNDERSTOOD_LEVEL,
    ].join(', ')})`;
    const { level, ...step } = await this.#use().change(call, ([row]) => {
      const [level, isThere, erased, scanned, more] = row!;
      return { level: wholeNumber(level), isThere: isThere === 't', erased: wholeNumber(erased), scanned: wholeNumber(scanned), more: more === 't' };
    });
    requireErasingLevel(level);
    return step;
  }

  async changes(after: number): Promise<ErasureChanges> {
    const known = this.#known.lineage;
    return this.#use().glance(`SELECT ${NEWEST_ERASURE},
      (SELECT json_agg(json_build_array(e.seq, e.topic, e.prefix, e.version) ORDER BY e.version) FROM (SELECT * FROM tidings.erasures WHERE version > ${after} ORDER BY version LIMIT ${ERASURES_MAX_ENTRIES}) e), s.* FROM ${stateCall(known)} s`,
    ([row]) => {
      const [version, list] = row!;
      return { ...changesAfter(after, wholeNumber(version), listIn(list).map(erasureIn)), log: { ...this.#known.state(row!, known), erasures: wholeNumber(version) } };
    });
  }

  async wipe(): Promise<Wiped> {
    const unwiped = await this.#use().glance(`SELECT (SELECT max(version) FROM tidings.erasures WHERE NOT wiped), ${STANDBY}`, ([row]) => row![0] ?? undefined);
    if (unwiped === undefined) return 'done';
    await this.#vacuum();
    await this.#use().change(`UPDATE tidings.erasures SET wiped = true WHERE version <= ${wholeNumber(unwiped)} AND NOT wiped; SELECT ${STANDBY}`, () => undefined);
    return 'done';
  }
}

function erasureIn(erasure: unknown): ErasureRow {
  const [seq, topic, prefix, version] = partsOf(erasure);
  return { seq: numberIn(seq), topic: textIn(topic), isPrefix: flagIn(prefix), version: numberIn(version) };
}
