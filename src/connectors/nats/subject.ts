/** The longest subject of a published message. Servers disconnect a client whose PUB line exceeds 4 KiB, and that line also has the reply subject. */
const SUBJECT_MAX_BYTES = 2 * 1024;

/** Why a message cannot be published to a subject; undefined if it can. */
export function whyNoSubject(subject: string): string | undefined {
  if (/^\.|\.\.|\.$|[\s*>]/.test(subject)) return 'the subject is no subject of NATS';
  if (subject.startsWith('$') || subject.startsWith('_INBOX.')) return 'the subject belongs to NATS itself';
  if (Buffer.byteLength(subject) > SUBJECT_MAX_BYTES) return `the subject is longer than ${SUBJECT_MAX_BYTES} bytes`;
  return undefined;
}
