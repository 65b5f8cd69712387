import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

const require = createRequire(import.meta.url);

/** Reads JSON or YAML. A file that was named by mistake may hold anything: nothing of it is repeated, only where it is wrong. @throws Error */
export function parseStructuredFile(text: string): unknown {
  // Most instances have no such file, and start without the seventy modules of the parser.
  const { parse, YAMLParseError } = require('yaml') as typeof Yaml;
  try {
    return parse(text, { logLevel: 'error' }) as unknown;
  } catch (error) {
    const [at] = error instanceof YAMLParseError ? error.linePos ?? [] : [];
    throw new Error(`it is no JSON and no YAML${at === undefined ? '' : ` (line ${at.line}, column ${at.col})`}`, { cause: error });
  }
}
