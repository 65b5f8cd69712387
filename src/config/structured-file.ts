import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

const require = createRequire(import.meta.url);

/** Parses JSON or YAML. @throws Error It names the place of the mistake, and repeats nothing of the file: a wrong path may name a file with secrets. */
export function parseStructuredFile(text: string): unknown {
  // Loaded only here: most instances have no such file, and the parser has seventy modules.
  const { parse, YAMLParseError } = require('yaml') as typeof Yaml;
  try {
    return parse(text, { logLevel: 'error' }) as unknown;
  } catch (error) {
    const [at] = error instanceof YAMLParseError ? error.linePos ?? [] : [];
    throw new Error(`it is no JSON and no YAML${at === undefined ? '' : ` (line ${at.line}, column ${at.col})`}`, { cause: error });
  }
}
