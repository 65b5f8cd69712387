/**
 * Why the log cannot be used, in one word: what `/readyz` shows. The sentence of a failure is for the service's own log, because it names files and repeats what
 * the database said.
 */
export type FailureReason = 'level' | 'schema' | 'foreign' | 'replaced' | 'damaged' | 'full' | 'locked' | 'read-only' | 'access' | 'unreachable' | 'other';

/** The reason in each sentence of a store, as one word. The first that fits counts. Failures cross threads and rooms as sentences. */
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
