import { levels, pino, stdTimeFunctions, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { errorFacts } from './error-facts.ts';
import { readableLine } from './readable-line.ts';
import { WARNING_LEVELS, type Warnings } from './warnings.ts';

/**
 * This room writes the log lines of the process. Facts come in as objects, with a level; a line of JSON goes out, or a readable line on a terminal.
 * Nothing secret goes in. A warning that repeats is written once in a while, with a count.
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
  /** Tells a failure that happens in good programs, such as a database that is away. Its message says all, and no stack is logged. */
  readonly isExpected: (error: unknown) => boolean;
  /** Takes one JSON object a line: levels by name, times in ISO 8601. */
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

/** Audit lines tell who did what: nothing has gone wrong. */
function isAudited(facts: unknown): boolean {
  return typeof facts === 'object' && facts !== null && 'audit' in facts;
}

/** A line may be an error alone, or have its text as the sentence, as Fastify does. That text may hold what somebody sent. */
function sentenceOf([facts, sentence]: readonly unknown[]): string {
  if (typeof facts === 'string') return facts;
  const error: unknown = typeof facts === 'object' && facts !== null && 'err' in facts ? facts.err : facts;
  return typeof sentence !== 'string' || (error instanceof Error && error.message === sentence) ? 'an error without a sentence: its line in the log says more' : sentence;
}

/** JSON for programs; for people, who sit at a terminal, sentences. */
export function standardOutput(output: NodeJS.WriteStream & { readonly fd: number } = process.stdout): DestinationStream {
  return output.isTTY ? { write: (line) => void output.write(readableLine(line)) } : pino.destination({ dest: output.fd, sync: true });
}
