import { parse, YAMLParseError } from 'yaml';

/** Reads JSON or YAML. A file that was named by mistake may hold anything: nothing of it is repeated, only where it is wrong. @throws Error */
export function parseStructuredFile(text: string): unknown {
  try {
    return parse(text, { logLevel: 'error' }) as unknown;
  } catch (error) {
    const [at] = error instanceof YAMLParseError ? error.linePos ?? [] : [];
    throw new Error(`it is no JSON and no YAML${at === undefined ? '' : ` (line ${at.line}, column ${at.col})`}`, { cause: error });
  }
}
