/**
 * Reads values of an answer that the server has made JSON of. A call that answers several records makes one JSON array of them. So the answer always has
 * exactly one row, and the last column of that row tells whether a standby gave it (`STANDBY`). Each function throws if the value has another type.
 */

/** A JSON array, such as `json_agg` makes. Null, which `json_agg` answers without rows, is an empty list. */
export function listIn(json: string | null | undefined): readonly unknown[] {
  return partsOf(JSON.parse(json ?? '[]'));
}

/** The columns of one record, such as `json_build_array` makes. */
export function partsOf(record: unknown): readonly unknown[] {
  if (!Array.isArray(record)) throw wrongValue();
  return record as readonly unknown[];
}

export function textIn(value: unknown): string {
  if (typeof value !== 'string') throw wrongValue();
  return value;
}

export function textOrNull(value: unknown): string | null {
  return value === null ? null : textIn(value);
}

export function flagIn(value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrongValue();
  return value;
}

/** A whole number, such as a time, a version or a fence. */
export function numberIn(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrongValue();
  return value;
}

export function numberOrNull(value: unknown): number | null {
  return value === null ? null : numberIn(value);
}

/** The bytes of a SHA-256 in hexadecimal digits. */
export function digestIn(value: unknown): Uint8Array {
  const text = textIn(value);
  if (!DIGEST.test(text)) throw wrongValue();
  return Buffer.from(text, 'hex');
}

const DIGEST = /^[0-9a-f]{64}$/;

function wrongValue(): TypeError {
  return new TypeError('the database answered a record that is not what this program stores');
}
