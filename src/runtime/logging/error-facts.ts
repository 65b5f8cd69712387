/** The fields of an error in a log line. */
export interface ErrorFacts {
  readonly type: string;
  readonly message: string;
  /** Only for unexpected errors, which may be bugs. */
  readonly stack?: string;
}

/** Takes the facts of an error that are safe to log. Drivers add more to their errors: a command's arguments may hold a password, and a row's details its data. */
export function errorFacts(error: unknown, isExpected: (error: unknown) => boolean): ErrorFacts {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const facts = { type: error.name, message: messageOf(error) };
  return isExpected(error) ? facts : { ...facts, stack: stackOf(error) };
}

/** If a name has several addresses, a failed connection is one `AggregateError` without a text. Then the texts of its errors are joined. */
function messageOf(error: Error): string {
  if (error.message !== '' || !(error instanceof AggregateError)) return error.message;
  return error.errors.map((one) => (one instanceof Error ? messageOf(one) : String(one))).join('; ');
}

function stackOf(error: Error): string {
  const stack = error.stack ?? messageOf(error);
  return error.cause instanceof Error ? `${stack}\ncaused by: ${stackOf(error.cause)}` : stack;
}
