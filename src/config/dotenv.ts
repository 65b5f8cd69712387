import { textOf } from './text-bytes.ts';

/** Variables by name, as the file holds them. */
export type DotenvVariables = Readonly<Record<string, string>>;

/** A line of the file is not understood. The message names the line's number, and repeats nothing of it: it may hold a password. */
export class DotenvError extends Error {
  override name = 'DotenvError';
}

/** An empty line, or a comment. `\s` includes byte order marks and no-break spaces. */
const EMPTY_LINE = /[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y;
const NAME = /[^\S\n]*(?:export[^\S\n]+)?([a-z_][\w.-]*)[^\S\n]*=[^\S\n]*/iy;
/** A quoted value may have several lines. Only a comment may follow it. */
const QUOTED_VALUE = /(["'`])((?:(?!\1)[\s\S])*)\1[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y;
/** As in a shell, a comment begins after a space: a password may hold a `#`. */
const BARE_VALUE = /((?:(?!(?<=\s)#)[^\n])*)(?:#[^\n]*)?(?:\n|$)/y;

/**
 * Reads a file `.env`: lines of NAME=value or `export NAME=value`, empty lines and comments. Node's `parseEnv` ignores lines that it cannot parse, and takes
 * the next line as the value of a name without one.
 * @throws DotenvError The first line that has another form.
 */
export function parseDotenv(bytes: Buffer): DotenvVariables {
  const text = textOf(bytes)?.replace(/\r\n?/g, '\n');
  if (text === undefined) throw new DotenvError('it is not text; save it as UTF-8');
  const variables: Record<string, string> = {};
  for (let at = 0; at < text.length;) {
    const take = (pattern: RegExp): RegExpExecArray | null => {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match !== null) at = pattern.lastIndex;
      return match;
    };
    if (take(EMPTY_LINE) !== null) continue;
    const line = text.slice(0, at).split('\n').length;
    const name = take(NAME)?.[1];
    if (name === undefined) throw new DotenvError(`line ${line} is not NAME=value`);
    const quoted = take(QUOTED_VALUE)?.[2];
    if (quoted === undefined && /["'`]/.test(text.charAt(at))) throw new DotenvError(`line ${line}: the quotes of ${name} do not end, or more follows them`);
    variables[name] = quoted ?? take(BARE_VALUE)![1]!.trim();
  }
  return variables;
}
