import { isUtf8 } from 'node:buffer';
import { StoreError } from '../../store.ts';

/**
 * Values as SQL text. A call is one protocol message that contains its values. A prepared statement takes several messages, and an instance that freezes
 * between two of them would keep the head's lock.
 */

/** A string. Correct for both settings of `standard_conforming_strings`. pg's own goes through a text character by character, which is slow for a batch. */
export function literal(text: string): string {
  if (text.includes('\0')) throw new StoreError('refused', 'the database cannot store a text with a NUL character');
  const quoted = text.replaceAll("'", "''");
  return quoted.includes('\\') ? ` E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`;
}

export function strings(texts: readonly (string | null)[]): string {
  return `${literal(`{${texts.map((text) => (text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`)).join()}}`)}::text[]`;
}

/** Refuses fractions: the server would reject the statement and write its text to its own log. */
export function numbers(values: readonly (number | null)[], type: 'integer' | 'bigint'): string {
  const odd = values.find((value) => value !== null && !Number.isSafeInteger(value));
  if (odd !== undefined) throw new StoreError('refused', `the database cannot store ${odd} as a whole number`);
  return `'{${values.map((value) => value ?? 'NULL').join()}}'::${type}[]`;
}

export function booleans(values: readonly boolean[]): string {
  return `'{${values.map((value) => (value ? 't' : 'f')).join()}}'::boolean[]`;
}

/**
 * Bytes for a `bytea`. Text goes as it is: in base64 or in hexadecimal digits it would be longer, for both sides. If something in it needs an escape, all of
 * it goes in digits, which is quicker than escapes.
 */
export function bytes(data: Buffer): string {
  const isPlain = isUtf8(data) && !data.includes(NUL) && !data.includes(QUOTE) && !data.includes(BACKSLASH);
  return isPlain ? `'${data.toString()}'` : hexadecimal(data);
}

export function hexadecimal(data: Buffer): string {
  return ` E'\\\\x${data.toString('hex')}'`;
}

const [NUL, QUOTE, BACKSLASH] = Buffer.from("\0'\\") as Iterable<number> as [number, number, number];

/** Reads an array of numbers or plain names in an answer; `{}` is empty. */
export function elements(array: string): string[] {
  return array === '{}' ? [] : array.slice(1, -1).split(',');
}

/** A number in an answer. Throws where something else stands: a NaN in the state of the log would spread without a word. */
export function wholeNumber(text: string | null | undefined): number {
  const value = text === null || text === undefined || text === '' ? NaN : Number(text);
  if (!Number.isSafeInteger(value)) throw new TypeError(`the database answered ${String(text).slice(0, ANSWER_SHOWN_CHARACTERS)} where a number belongs`);
  return value;
}

/** A name of an epoch or a log in an answer. Throws where something else stands. */
export function nameIn(value: unknown): string {
  if (typeof value !== 'string' || !NAME.test(value)) throw new TypeError('the database answered something else where a name belongs');
  return value;
}

const NAME = /^[a-z0-9]+$/;

/** How much of an answer an error shows. Stops it from flooding the logger. */
const ANSWER_SHOWN_CHARACTERS = 40;
