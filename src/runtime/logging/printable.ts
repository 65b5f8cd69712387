/** Control characters, which a terminal obeys, and format characters such as a byte order mark, which nobody sees. */
const INVISIBLE = /[\p{Cc}\p{Cf}]/gu;

/** Makes a foreign text safe to print: shows invisible characters as `\u` and their number. */
export function printable(text: string): string {
  return text.replace(INVISIBLE, (character) => character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''));
}
