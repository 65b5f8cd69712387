/** The longest reason. Stops a program that answers in the place of Redis from flooding the logger with its texts. */
const REASON_MAX_CHARACTERS = 500;

/**
 * The text of an error, in short and without a password. The error itself must not reach the logger. ioredis adds the command's arguments to it, and those of
 * the first command contain the password.
 */
export function redactedReason(error: unknown): string {
  if (!(error instanceof Error)) return 'an error without a text';
  // A host name with several addresses fails with one error for all of them, which has no text of its own.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(redactedReason).join('; ');
  // Redis repeats the arguments of an unknown command; AUTH's argument is the password.
  return error.message.replace(/, with args beginning with.*/s, '').slice(0, REASON_MAX_CHARACTERS);
}
