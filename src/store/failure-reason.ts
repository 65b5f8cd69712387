/**
 * Why the log cannot be used, as one word for `/readyz`. The sentence of a `StoreError` must not appear there: it names files, and quotes the database.
 */
export type FailureReason = 'level' | 'schema' | 'foreign' | 'replaced' | 'damaged' | 'full' | 'locked' | 'read-only' | 'access' | 'unreachable' | 'other';

/** Finds the word in the sentence; the first match counts. A failure crosses threads and rooms as a sentence, so its word must be found there. */
const SENTENCES: readonly (readonly [FailureReason, RegExp])[] = [
  ['level', /understands levels up to|does not understand the log/],
  ['schema', /made by a newer version/],
  ['foreign', /belongs to another program/],
  ['replaced', /was (?:replaced or removed|removed or replaced) while in use|is missing or empty|holds another log/],
  ['damaged', /damaged|was cut while in use|was emptied while in use|has lost its newest messages|is not a SQLite database|the disk (?:of the server )?reported an error/],
  ['full', /^the disk.* is full/],
  ['locked', /locked for too long/],
  ['read-only', /cannot be written to|does not take messages|is a standby/],
  ['access', /may not be used|does not let this user in|this user may not|no such database|cannot be opened|needs a folder|hard links/],
  ['unreachable', /does not answer|cannot be reached|took too long|connection.* was lost|ended the connection|is starting or stopping/],
];

/** The word for the sentence of a `StoreError`. */
export function failureReason(sentence: string): FailureReason {
  return SENTENCES.find(([, pattern]) => pattern.test(sentence))?.[0] ?? 'other';
}
