import { levels, pino, stdTimeFunctions, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { errorFacts } from './error-facts.ts';
import { readableLine } from './readable-line.ts';
import { WARNING_LEVELS, type Warnings } from './warnings.ts';

/**
 * This folder writes the log lines of the process. Callers pass facts and a sentence; a line of JSON goes out, or a readable line on a terminal (readable-line.ts).
 * An error becomes its safe facts (error-facts.ts), because drivers put passwords and data on their errors. warnings.ts keeps the latest warnings for administrators. line-window.ts thins out
 * lines that repeat. printable.ts makes foreign text safe for a terminal. console-lines.ts turns the console output of libraries into log lines.
 */

/** The part of a pino logger that the spine uses. */
export interface Logger {
  debug(facts: object, sentence: string): void;
  info(facts: object, sentence: string): void;
  info(sentence: string): void;
  warn(facts: object, sentence: string): void;
  error(facts: object, sentence: string): void;
}

export interface LoggerOptions {
  /** The least serious lines that are written. */
  readonly level: string;
  /** Whether an error is no bug, such as a database that is down. Such an error is logged without its stack. */
  readonly isExpected: (error: unknown) => boolean;
  /** Gets one JSON object a line: levels by name, times in ISO 8601. */
  readonly destination: DestinationStream;
  /** Keeps the sentences of warnings and errors. */
  readonly warnings?: Pick<Warnings, 'add'>;
}

export function makeLogger({ level, isExpected, destination, warnings }: LoggerOptions): PinoLogger {
  return pino({
    level,
    formatters: { level: (label) => ({ level: label }) },
    timestamp: stdTimeFunctions.isoTime,
    serializers: { err: (error: unknown) => errorFacts(error, isExpected) },
    ...(warnings === undefined ? {} : { hooks: { logMethod(args, method, number) {
      const name = WARNING_LEVELS.find((one) => levels.values[one] === number);
      if (name !== undefined && !isAudited(args[0])) warnings.add(name, sentenceOf(args));
      method.apply(this, args);
    } } }),
  }, destination);
}

/** Whether it is an audit line, which records an administrator's action. Such a line is no warning, whatever its level. */
function isAudited(facts: unknown): boolean {
  return typeof facts === 'object' && facts !== null && 'audit' in facts;
}

/** The sentence to keep. A line may be an error alone, or repeat the error's text as its sentence, as Fastify does. That text may hold a client's data, so it is not kept. */
function sentenceOf([facts, sentence]: readonly unknown[]): string {
  if (typeof facts === 'string') return facts;
  const error: unknown = typeof facts === 'object' && facts !== null && 'err' in facts ? facts.err : facts;
  return typeof sentence !== 'string' || (error instanceof Error && error.message === sentence) ? 'an error without a sentence: its line in the log says more' : sentence;
}

/** Writes JSON to a file or pipe, and readable lines to a terminal. */
export function standardOutput(output: NodeJS.WriteStream & { readonly fd: number } = process.stdout): DestinationStream {
  return output.isTTY ? { write: (line) => void output.write(readableLine(line)) } : pino.destination({ dest: output.fd, sync: true });
}
