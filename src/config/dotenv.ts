/** Variables by name, as the file holds them. */
export type DotenvVariables = Readonly<Record<string, string>>;

/** A file that cannot be understood as a whole. Its text names the line, and repeats nothing of it: it may hold a password. */
export class DotenvError extends Error {
  override name = 'DotenvError';
}

/** How editors begin files that are not UTF-8: the byte order marks of UTF-16. */
const ENCODING_MARKS: readonly (readonly [bytes: Buffer, encoding: string])[] = [
  [Buffer.of(0xff, 0xfe), 'utf-16le'],
  [Buffer.of(0xfe, 0xff), 'utf-16be'],
];

/** A line that says nothing. `\s` includes byte order marks and no-break spaces. */
const EMPTY_LINE = /[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y;
const NAME = /[^\S\n]*(?:export[^\S\n]+)?([a-z_][\w.-]*)[^\S\n]*=[^\S\n]*/iy;
/** Quotes hold any text, also over several lines. Only a comment follows them. */
const QUOTED_VALUE = /(["'`])((?:(?!\1)[\s\S])*)\1[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y;
/** As in a shell, a comment begins after a space: a password may hold a `#`. */
const BARE_VALUE = /((?:(?!(?<=\s)#)[^\n])*)(?:#[^\n]*)?(?:\n|$)/y;

/**
 * Reads a file `.env`: lines of NAME=value or `export NAME=value`, empty lines and comments. Node's `parseEnv` passes over what it does not
 * understand, and takes the next line for the value of a name that has none.
 * @throws DotenvError The first line that is none of these.
 */
export function parseDotenv(bytes: Buffer): DotenvVariables {
  const text = decode(bytes).replace(/\r\n?/g, '\n');
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

function decode(bytes: Buffer): string {
  const encoding = ENCODING_MARKS.find(([mark]) => bytes.subarray(0, mark.length).equals(mark))?.[1] ?? 'utf-8';
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new DotenvError('it is not text; save it as UTF-8');
  }
  // UTF-16 without a byte order mark is valid UTF-8, full of these.
  if (text.includes('\0')) throw new DotenvError('it is not text; save it as UTF-8');
  return text;
}
