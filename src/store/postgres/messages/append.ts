import { EPOCH_RANDOM_CHARACTERS, type Lineage } from '../../../model/epochs.ts';
import type { Position } from '../../../model/position.ts';
import { CLOCK_JUMP_MS } from '../../believed-clock.ts';
import type { SourceStep } from '../../contracts/connector-store.ts';
import { UNDERSTOOD_LEVEL } from '../../level.ts';
import { KEPT_EPOCHS } from '../../limits.ts';
import { randomName } from '../../names.ts';
import type { AppendRequest, Outcome } from '../../store.ts';
import type { Row } from '../connection/connection.ts';
import { failureOf } from '../connection/errors.ts';
import { booleans, bytes, elements, hexadecimal, literal, nameIn, numbers, strings, wholeNumber } from '../connection/literals.ts';

/**
 * This room is SQL on PostgreSQL for messages: append and read. Requests come in and become one statement; rows come back and become outcomes. The
 * database's functions do the work, so instances of two versions agree.
 */

/** The bytes of a message beyond its topic and data: its other fields, and its entries in three indexes. Part of the log's size. */
export const PG_ROW_OVERHEAD_BYTES = 128;

/** The length of an idempotency key's fingerprint; `tidings.append` knows it, too. */
const FINGERPRINT_BYTES = 32;

/** The state of the log that an append sends with its requests. */
export interface Circumstances {
  /** Whether a `PgConnection` was lost after the last append: then a new epoch begins, because the log may be another one (invariant 8). */
  readonly begin: boolean;
  readonly seen: Position;
  readonly known: Lineage;
}

/** The failure that `tidings.append_step` answers for a step that is not the next one of its source. */
const OUTDATED_CODE = 'outdated';

/** A call of `tidings.try_append`, or of `tidings.append_step`, whose row has the same columns. */
export interface AppendCall {
  readonly text: string;
  /** With these random characters the name of an epoch begins, if one begins with this call. */
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
    `'${random}'`, KEPT_EPOCHS, begin, literal(seen.epoch), seen.seq, literal(newestOf(known)), UNDERSTOOD_LEVEL,
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

/** Where each of several parts ends that follow each other. */
function ends(lengths: readonly number[]): number[] {
  let end = 0;
  return lengths.map((length) => (end += length));
}

/** Whether the step of a source was not the next one, so that nothing was stored. */
export function isOutdated([failure]: Row): boolean {
  return failure === OUTDATED_CODE;
}

/**
 * The row of `tidings.append`, from that of `tidings.try_append`.
 *
 * @throws pg.DatabaseError as the server reports an error, where the append failed and nothing was stored.
 */
export function appendedIn([failure, reason, ...appended]: Row): Row {
  if (failure !== null) throw failureOf(failure ?? '', reason ?? '');
  return appended;
}

/** The outcome of each request, from the first columns of the row that `tidings.append` answers; and whether it began the epoch of its call. */
export function outcomesOf(row: Row, requests: readonly AppendRequest[], call: AppendCall): { readonly outcomes: Outcome[]; readonly began: boolean } {
  const [before, storedTime, epoch, kinds, epochs, firsts, times] = row as readonly string[];
  const began = epoch!.startsWith(call.random);
  if (kinds === null) {
    let first = wholeNumber(before) + 1;
    const time = wholeNumber(storedTime);
    const name = nameIn(epoch);
    return { began, outcomes: requests.map(({ drafts }): Outcome => {
      const outcome: Outcome = { kind: 'stored', epoch: name, first, time };
      first += drafts.length;
      return outcome;
    }) };
  }
  const [names, numbered, clocks] = [elements(epochs!), elements(firsts!), elements(times!)];
  const answers = elements(kinds!);
  if (answers.length !== requests.length) throw new TypeError(`the database answered ${answers.length} of ${requests.length} requests`);
  return { began, outcomes: answers.map((kind, index): Outcome => (kind === '2'
    ? { kind: 'conflict' }
    : { kind: kind === '0' ? 'stored' : 'replayed', epoch: nameIn(names[index]), first: wholeNumber(numbered[index]), time: wholeNumber(clocks[index]) })) };
}

/** A call of `tidings.state`, with which every answer ends. */
export function stateCall(known: Lineage): string {
  return `tidings.state(${literal(newestOf(known))}, ${UNDERSTOOD_LEVEL})`;
}

/** The name of the newest epoch; '' where none is known. */
export function newestOf(lineage: Lineage): string {
  return lineage.epochs.at(-1)?.epoch ?? '';
}
