/** The longest subject that is published to. Servers drop a client whose line of a message is longer than 4 KiB, and that line has the subject of the answer, too. */
const SUBJECT_MAX_BYTES = 2 * 1024;

/** Why NATS takes no message for a subject; undefined where it may. */
export function whyNoSubject(subject: string): string | undefined {
  if (/^\.|\.\.|\.$|[\s*>]/.test(subject)) return 'the subject is no subject of NATS';
  if (subject.startsWith('$') || subject.startsWith('_INBOX.')) return 'the subject belongs to NATS itself';
  if (Buffer.byteLength(subject) > SUBJECT_MAX_BYTES) return `the subject is longer than ${SUBJECT_MAX_BYTES} bytes`;
  return undefined;
}
