import { Passing } from '../client/problem.ts';
import { TidingsError } from '../client/requests.ts';
import { printable } from '../runtime/logging/printable.ts';

/** Exit codes, for scripts; docs/cli.md lists them. Zero is success. */
export const FAILED_EXIT_CODE = 1;
export const USAGE_EXIT_CODE = 2;
const TIMEOUT_EXIT_CODE = 3;
const REFUSED_EXIT_CODE = 4;
/** The exit code of `access` for "not allowed". If the credential may not even ask, the code is `REFUSED_EXIT_CODE`. */
export const NOT_ALLOWED_EXIT_CODE = 5;

/** Ends a command. The message is for people: it says what is wrong, and what to do. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = FAILED_EXIT_CODE) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function wrongUsage(message: string): CommandError {
  return new CommandError(message, USAGE_EXIT_CODE);
}

export function timedOut(message: string): CommandError {
  return new CommandError(message, TIMEOUT_EXIT_CODE);
}

/** Prints why a command failed, and returns its exit code. Throws an unexpected error again: that is a bug of this program. */
export function report(error: unknown): number {
  if (error instanceof CommandError) {
    say(error.message);
    return error.exitCode;
  }
  say(reasonOf(error));
  const refusal = refusalOf(error);
  if (refusal?.status === 401 || refusal?.status === 403) return REFUSED_EXIT_CODE;
  return refusal?.status === 400 ? USAGE_EXIT_CODE : FAILED_EXIT_CODE;
}

/** Why a request failed, in one line. Throws an error again that is no failure of a request. */
export function reasonOf(error: unknown): string {
  const refusal = refusalOf(error);
  if (refusal !== undefined) return printable(`${refusal.message} (${refusal.code})${refusal.status === 401 ? ' Set TIDINGS_TOKEN to a key or token.' : ''}`);
  if (!(error instanceof Passing)) throw error;
  if (error.cause instanceof CommandError) return error.cause.message;
  return `The service cannot be reached (${printable(lastReason(error.cause))}). TIDINGS_URL or --url says where it is.`;
}

/** Parses an answer as JSON. @throws CommandError if it is not JSON: it may be a proxy's page */
export function answerIn<Answer extends object>(text: string): Answer {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null) return answer as Answer;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new CommandError('The answer is not from a Tidings service. TIDINGS_URL or --url says where it is.');
}

function refusalOf(error: unknown): TidingsError | undefined {
  if (error instanceof TidingsError) return error;
  return error instanceof Passing && error.cause instanceof TidingsError ? error.cause : undefined;
}

/** The innermost cause: the error of `fetch` itself says only that it failed. */
function lastReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause !== undefined) return lastReason(error.cause);
  const { code } = error as NodeJS.ErrnoException;
  return code ?? error.message;
}

/** Prints a sentence for people on standard error, so that standard output has only the result. */
export function say(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}

/** The error for a path that the service does not have, or that a proxy does not pass on. @param what The name of the missing thing, such as `webhooks`. */
export function nothingThere(what: string, error: TidingsError): CommandError {
  return new CommandError(`This service has no ${what}. Its version is older than this command, or a proxy keeps it out: ask an instance itself. The answer was: ${printable(error.message)}`);
}
