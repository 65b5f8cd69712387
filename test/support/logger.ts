import { pino, type Logger as PinoLogger } from 'pino';
import type { Logger } from '../../src/runtime/logger.ts';

/** A logger that says nothing. */
export const quietLogger: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** A logger whose lines a test can read. */
export function recordingLogger(): { logger: PinoLogger; lines: string[] } {
  const lines: string[] = [];
  return { logger: pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) }), lines };
}
