/** The fields of an error in a log line. */
export interface ErrorFacts {
  readonly type: string;
  readonly message: string;
  /** For mistakes in this program only: of any other failure it says nothing. */
  readonly stack?: string;
}

/**
 * The facts of an error that may be logged, and nothing else that drivers put on their errors. The arguments of a command can hold the password, and the
 * details of a row its data.
 */
export function errorFacts(error: unknown, isExpected: (error: unknown) => boolean): ErrorFacts {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const facts = { type: error.name, message: messageOf(error) };
  return isExpected(error) ? facts : { ...facts, stack: stackOf(error) };
}

/** An address with several hosts fails with one error for all of them, which has no text of its own. */
function messageOf(error: Error): string {
  if (error.message !== '' || !(error instanceof AggregateError)) return error.message;
  return error.errors.map((one) => (one instanceof Error ? messageOf(one) : String(one))).join('; ');
}

function stackOf(error: Error): string {
  const stack = error.stack ?? messageOf(error);
  return error.cause instanceof Error ? `${stack}\ncaused by: ${stackOf(error.cause)}` : stack;
}
