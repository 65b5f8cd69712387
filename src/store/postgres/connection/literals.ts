import { isUtf8 } from 'node:buffer';
import { StoreError } from '../../store.ts';

/**
 * Values as SQL text. A call is one protocol message that contains its values. A prepared statement would need several messages, and an instance that freezes
 * between two of them would keep the lock of the head.
 */

/** A string, for both settings of `standard_conforming_strings`. pg has such a function, too, but it reads a text character by character, which is slow for a batch. */
export function literal(text: string): string {
  if (text.includes('\0')) throw new StoreError('refused', 'the database cannot store a text with a NUL character');
  const quoted = text.replaceAll("'", "''");
  return quoted.includes('\\') ? ` E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`;
}

/** NULL for undefined. */
export function literalOrNull(text: string | undefined): string {
  return text === undefined ? 'NULL' : literal(text);
}

export function strings(texts: readonly (string | null)[]): string {
  return `${literal(`{${texts.map((text) => (text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`)).join()}}`)}::text[]`;
}

/** An array of numbers. Refuses fractions itself: the server would reject the statement and write it, with its data, to its own log. */
export function numbers(values: readonly (number | null)[], type: 'integer' | 'bigint'): string {
  const odd = values.find((value) => value !== null && !Number.isSafeInteger(value));
  if (odd !== undefined) throw new StoreError('refused', `the database cannot store ${odd} as a whole number`);
  return `'{${values.map((value) => value ?? 'NULL').join()}}'::${type}[]`;
}

export function booleans(values: readonly boolean[]): string {
  return `'{${values.map((value) => (value ? 't' : 'f')).join()}}'::boolean[]`;
}

/**
 * The literal of a `bytea`. Bytes that are text without special characters go as they are, because digits would be twice as long. All other bytes go in
 * hexadecimal digits, which are faster than escapes.
 */
export function bytes(data: Buffer): string {
  const isPlain = isUtf8(data) && !data.includes(NUL) && !data.includes(QUOTE) && !data.includes(BACKSLASH);
  return isPlain ? `'${data.toString()}'` : hexadecimal(data);
}

export function hexadecimal(data: Buffer): string {
  return ` E'\\\\x${data.toString('hex')}'`;
}

export function bytea(digest: Uint8Array): string {
  return hexadecimal(Buffer.from(digest));
}

const [NUL, QUOTE, BACKSLASH] = Buffer.from("\0'\\") as Iterable<number> as [number, number, number];

/** The elements of an array of numbers or plain names in an answer, such as `{1,2}`. */
export function elements(array: string): string[] {
  return array === '{}' ? [] : array.slice(1, -1).split(',');
}

/** A whole number in an answer. Throws at anything else: a NaN in the state of the log would spread silently. */
export function wholeNumber(text: string | null | undefined): number {
  const value = text === null || text === undefined || text === '' ? NaN : Number(text);
  if (!Number.isSafeInteger(value)) throw new TypeError(`the database answered ${String(text).slice(0, ANSWER_SHOWN_CHARACTERS)} where a number belongs`);
  return value;
}

/** The name of an epoch or a log in an answer. Throws at anything else. */
export function nameIn(value: unknown): string {
  if (typeof value !== 'string' || !NAME.test(value)) throw new TypeError('the database answered something else where a name belongs');
  return value;
}

const NAME = /^[a-z0-9]+$/;

/** How many characters of an answer an error quotes. Stops a long answer from flooding the service's log. */
const ANSWER_SHOWN_CHARACTERS = 40;
