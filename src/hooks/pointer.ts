/** JSON pointers, RFC 6901. */

/** An array has a length besides, which no sender wrote. */
const ARRAY_INDEX = /^\d+$/;

/** The tokens of a pointer. @throws Error */
export function checkPointer(pointer: string): readonly string[] {
  if (pointer !== '' && !pointer.startsWith('/')) throw new Error('a JSON pointer begins with /');
  if (/~(?![01])/.test(pointer)) throw new Error('in a JSON pointer ~ is written ~0, and / in a name ~1');
  return pointer.split('/').slice(1).map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value that a pointer leads to; undefined if there is no such value. */
export function resolvePointer(value: unknown, tokens: readonly string[]): unknown {
  let at = value;
  for (const token of tokens) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, token) || (Array.isArray(at) && !ARRAY_INDEX.test(token))) return undefined;
    at = (at as Readonly<Record<string, unknown>>)[token];
  }
  return at;
}
