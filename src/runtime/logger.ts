import { pino, stdTimeFunctions, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { errorFacts } from './error-facts.ts';
import { readableLine } from './readable-line.ts';

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
}

export function makeLogger({ level, isExpected, destination }: LoggerOptions): PinoLogger {
  return pino({
    level,
    formatters: { level: (label) => ({ level: label }) },
    timestamp: stdTimeFunctions.isoTime,
    serializers: { err: (error: unknown) => errorFacts(error, isExpected) },
  }, destination);
}

/** JSON for programs; for people, who sit at a terminal, sentences. */
export function standardOutput(output: NodeJS.WriteStream & { readonly fd: number } = process.stdout): DestinationStream {
  return output.isTTY ? { write: (line) => void output.write(readableLine(line)) } : pino.destination({ dest: output.fd, sync: true });
}
