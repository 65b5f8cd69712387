import type { Logger as PinoLogger } from 'pino';
import { makeLogger, type Logger } from '../../src/runtime/logging/logger.ts';
import { isStoreFailure } from '../../src/store/store.ts';

/** A logger that says nothing. */
export const quietLogger: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** A logger whose lines a test can read. */
export function recordingLogger(): { logger: PinoLogger; lines: string[] } {
  const lines: string[] = [];
  return { logger: makeLogger({ level: 'trace', isExpected: isStoreFailure, destination: { write: (line) => void lines.push(line) } }), lines };
}
