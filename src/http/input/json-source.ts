/**
 * Finds values in JSON source text without changing a byte of them: numbers keep all their digits, members their order.
 * Nothing here recurses, so nesting costs no stack.
 */
export interface Span {
  readonly start: number;
  /** The index after its last character. */
  readonly end: number;
}

/** An object has a member twice, so its value is ambiguous. */
export class DuplicateMember extends Error {
  override name = 'DuplicateMember';
  readonly member: string;

  constructor(member: string) {
    super(`${member} is there twice`);
    this.member = member;
  }
}

/** The text is no array. `index` is how many elements came before the place where it stops being one. */
export class NotAnArray extends Error {
  override name = 'NotAnArray';
  readonly index: number;

  constructor(index: number) {
    super(`no array at element ${index}`);
    this.index = index;
  }
}

/** The white space that is skipped without a pause. Stops a body of white space alone from holding up the event loop. */
export const TURN_CHARACTERS = 64 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The value of one member of an object. The source must be an object that `JSON.parse` accepts.
 * @throws DuplicateMember when any member is there twice.
 */
export function memberSpan(source: string, name: string): Span | undefined {
  const names = new Set<string>();
  let found: Span | undefined;
  let at = skipSpace(source, skipSpace(source, 0) + 1);
  while (source.charCodeAt(at) === QUOTE) {
    const nameEnd = endOfString(source, at);
    const raw = source.slice(at + 1, nameEnd - 1);
    const member = raw.includes('\\') ? JSON.parse(`"${raw}"`) as string : raw;
    if (names.has(member)) throw new DuplicateMember(member);
    names.add(member);
    const start = skipSpace(source, skipSpace(source, nameEnd) + 1);
    const end = endOfValue(source, start);
    if (member === name) found = { start, end };
    at = skipSpace(source, end);
    if (source.charCodeAt(at) === COMMA) at = skipSpace(source, at + 1);
  }
  return found;
}

/**
 * The elements of an array, one after the other. Only what is between them is checked here: if the array ends without
 * `NotAnArray`, and `JSON.parse` accepts each element, then it accepts the whole. So a large array needs no large parse.
 * It yields undefined between elements after much white space, so that the caller can pause.
 * @param longest An element with more characters is cut somewhere after them: it is too long in any case.
 * @throws NotAnArray
 */
export function* elementSpans(source: string, longest = Infinity): Generator<Span | undefined, void> {
  let index = 0;
  let at = yield* skipSpaceInTurns(source, 0);
  if (source.charCodeAt(at) !== OPEN_BRACKET) throw new NotAnArray(0);
  at = yield* skipSpaceInTurns(source, at + 1);
  if (source.charCodeAt(at) === CLOSE_BRACKET) at++;
  else {
    for (;;) {
      const end = endOfValue(source, at, at + longest);
      if (end === at) throw new NotAnArray(index);
      yield { start: at, end };
      index++;
      at = yield* skipSpaceInTurns(source, end);
      const next = source.charCodeAt(at);
      at++;
      if (next === CLOSE_BRACKET) break;
      if (next !== COMMA) throw new NotAnArray(index);
      at = yield* skipSpaceInTurns(source, at);
    }
  }
  if ((yield* skipSpaceInTurns(source, at)) !== source.length) throw new NotAnArray(index);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function skipSpace(source: string, at: number, until = Infinity): number {
  while (at < until && isSpace(source.charCodeAt(at))) at++;
  return at;
}

function* skipSpaceInTurns(source: string, at: number): Generator<undefined, number> {
  for (;;) {
    const until = at + TURN_CHARACTERS;
    at = skipSpace(source, at, until);
    if (at < until) return at;
    yield undefined;
  }
}

/** The place after the quote that ends the string which begins at `at`. */
function endOfString(source: string, at: number): number {
  for (let quote = source.indexOf('"', at + 1); quote !== -1; quote = source.indexOf('"', quote + 1)) {
    let before = quote;
    while (source.charCodeAt(before - 1) === BACKSLASH) before--;
    // An even number of backslashes are escaped themselves; the last of an odd number escapes the quote.
    if ((quote - before) % 2 === 0) return quote + 1;
  }
  return source.length;
}

function endOfValue(source: string, at: number, limit = Infinity): number {
  const first = source.charCodeAt(at);
  if (first === QUOTE) return endOfString(source, at);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return endOfNested(source, at, limit);
  while (at < source.length && at <= limit) {
    const code = source.charCodeAt(at);
    if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || isSpace(code)) break;
    at++;
  }
  return at;
}

/** The end of an object or array. Brackets of both kinds are counted together. */
function endOfNested(source: string, at: number, limit: number): number {
  let depth = 0;
  while (at < source.length && at <= limit) {
    const code = source.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(source, at);
      continue;
    }
    at++;
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) break;
  }
  return at;
}
