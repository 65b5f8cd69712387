import { EPOCH_RANDOM_CHARACTERS, type Lineage } from '../../../model/epochs.ts';
import type { Position } from '../../../model/position.ts';
import { CLOCK_JUMP_MS } from '../../believed-clock.ts';
import type { SourceStep } from '../../contracts/connector-store.ts';
import { UNDERSTOOD_LEVEL } from '../../level.ts';
import { KEPT_EPOCHS } from '../../limits.ts';
import { randomName } from '../../names.ts';
import { OUTCOME_CODE } from '../../outcome-code.ts';
import type { AppendRequest, Outcome } from '../../store.ts';
import type { Row } from '../connection/connection.ts';
import { failureOf } from '../connection/errors.ts';
import { booleans, bytes, elements, hexadecimal, literal, nameIn, numbers, strings, wholeNumber } from '../connection/literals.ts';

/**
 * The room `postgres/messages` is SQL on PostgreSQL for messages: append (this file) and read (`query.ts`). Requests and queries come in, and each becomes
 * one statement; its rows become outcomes or messages, and the state of the log (`known-log.ts`). Functions of the database do the work, so instances of
 * two versions agree.
 */

/** The bytes of a message beyond its topic and data: its other fields, and its entries in three indexes. Part of the log's size. */
export const PG_ROW_OVERHEAD_BYTES = 128;

/** The length of an idempotency key's fingerprint. `tidings.append` cuts the fingerprints apart by the same length. */
const FINGERPRINT_BYTES = 32;

/** The state of the log that an append sends with its requests. */
export interface Circumstances {
  /** Whether to begin a new epoch. It is due after a `PgConnection` was lost, because the log may have been exchanged (invariant 8). */
  readonly begin: boolean;
  /** `KnownLog.seen`. */
  readonly seen: Position;
  /** `KnownLog.lineage`. */
  readonly known: Lineage;
}

/** The failure that `tidings.append_step` answers for a step whose fence or positions are outdated. */
const OUTDATED_FAILURE = 'outdated';

/** A call of `tidings.try_append`, or of `tidings.append_step`, whose row has the same columns. */
export interface AppendCall {
  readonly text: string;
  /** The random characters of the epoch that this call begins, if it begins one: the epoch's name starts with them. */
  readonly random: string;
}

export function appendCall(requests: readonly AppendRequest[], { begin, seen, known }: Circumstances, step?: SourceStep): AppendCall {
  const drafts = requests.flatMap((request) => request.drafts);
  const random = randomName(EPOCH_RANDOM_CHARACTERS);
  const text = `SELECT * FROM ${step === undefined ? 'tidings.try_append' : 'tidings.append_step'}(${[
    ...(step === undefined ? [] : stepColumns(step)),
    drafts.length,
    ...keyColumns(requests),
    strings(drafts.map(({ topic }) => topic)),
    drafts.every(({ event }) => event === undefined) ? 'NULL' : strings(drafts.map(({ event }) => event ?? null)),
    booleans(drafts.map(({ json }) => json)),
    drafts.every(({ ttl }) => ttl === 0) ? 'NULL' : numbers(drafts.map(({ ttl }) => ttl), 'bigint'),
    numbers([0, ...ends(drafts.map(({ data }) => data.length))], 'integer'),
    bytes(Buffer.concat(drafts.map(({ data }) => data))),
    PG_ROW_OVERHEAD_BYTES, CLOCK_JUMP_MS,
    `'${random}'`, KEPT_EPOCHS, begin, literal(seen.epoch), seen.seq, literal(newestEpoch(known)), UNDERSTOOD_LEVEL,
  ].join(', ')})`;
  return { text, random };
}

function stepColumns({ connector, fence, origin, moves }: SourceStep): (string | number)[] {
  return [
    literal(connector), fence, literal(origin), strings(moves.map(({ part }) => part)),
    strings(moves.map(({ from }) => from?.identity ?? null)), numbers(moves.map(({ from }) => from?.position ?? null), 'bigint'),
    strings(moves.map(({ to }) => to.identity)), numbers(moves.map(({ to }) => to.position), 'bigint'),
  ];
}

function keyColumns(requests: readonly AppendRequest[]): string[] {
  const keys = requests.map(({ key }) => key);
  if (keys.every((key) => key === undefined)) return ['NULL', 'NULL', 'NULL', 'NULL', 'NULL', 'false'];
  const fingerprints = Buffer.alloc(keys.length * FINGERPRINT_BYTES);
  keys.forEach((key, index) => fingerprints.set(key?.fingerprint ?? [], index * FINGERPRINT_BYTES));
  const names = keys.filter((key) => key !== undefined).map(({ scope, key }) => `${scope}\0${key}`);
  return [
    numbers([1, ...ends(requests.map(({ drafts }) => drafts.length)).slice(0, -1).map((end) => end + 1)], 'integer'),
    strings(keys.map((key) => key?.scope ?? null)),
    strings(keys.map((key) => key?.key ?? null)),
    hexadecimal(fingerprints),
    numbers(keys.map((key) => key?.window ?? null), 'bigint'),
    String(new Set(names).size < names.length),
  ];
}

/** The offset at which each of several consecutive parts ends: 3, 1, 2 becomes 3, 4, 6. */
function ends(lengths: readonly number[]): number[] {
  let end = 0;
  return lengths.map((length) => (end += length));
}

/** Whether the step's fence or positions are outdated, so that nothing was stored. */
export function isOutdated([failure]: Row): boolean {
  return failure === OUTDATED_FAILURE;
}

/**
 * Takes the row of `tidings.append` out of the row of `tidings.try_append`, which catches errors and returns them in two columns before it.
 *
 * @throws pg.DatabaseError the caught error; nothing was stored.
 */
export function appendedIn([failure, reason, ...appended]: Row): Row {
  if (failure !== null) throw failureOf(failure ?? '', reason ?? '');
  return appended;
}

/** Reads the first columns of the row of `tidings.append`: the outcome of each request, and whether the call began an epoch. */
export function outcomesOf(row: Row, requests: readonly AppendRequest[], call: AppendCall): { readonly outcomes: Outcome[]; readonly began: boolean } {
  const [before, storedTime, epoch = null, codeList = null, epochList, firstList, timeList] = row;
  const name = nameIn(epoch);
  const began = name.startsWith(call.random);
  // The short answer: every request was stored, in its order.
  if (codeList === null) {
    let first = wholeNumber(before) + 1;
    const time = wholeNumber(storedTime);
    return { began, outcomes: requests.map(({ drafts }): Outcome => {
      const outcome: Outcome = { kind: 'stored', epoch: name, first, time };
      first += drafts.length;
      return outcome;
    }) };
  }
  const [codes, epochs, firsts, times] = [elements(codeList), elements(epochList!), elements(firstList!), elements(timeList!)];
  if (codes.length !== requests.length) throw new TypeError(`the database answered ${codes.length} of ${requests.length} requests`);
  return { began, outcomes: codes.map((text, index): Outcome => {
    const code = wholeNumber(text);
    if (code === OUTCOME_CODE.conflict) return { kind: 'conflict' };
    return { kind: code === OUTCOME_CODE.stored ? 'stored' : 'replayed', epoch: nameIn(epochs[index]), first: wholeNumber(firsts[index]), time: wholeNumber(times[index]) };
  }) };
}

/** A call of `tidings.state`. Its columns are the last ones of every answer. */
export function stateCall(known: Lineage): string {
  return `tidings.state(${literal(newestEpoch(known))}, ${UNDERSTOOD_LEVEL})`;
}

/** The name of the newest epoch; '' if no epoch is known. */
export function newestEpoch(lineage: Lineage): string {
  return lineage.epochs.at(-1)?.epoch ?? '';
}
