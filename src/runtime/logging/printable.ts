/** A terminal obeys control characters, and nobody sees format characters such as a byte order mark. */
const INVISIBLE = /[\p{Cc}\p{Cf}]/gu;

/** A text that somebody else wrote, for people: what cannot be seen is shown as `\u` and its number. */
export function printable(text: string): string {
  return text.replace(INVISIBLE, (character) => character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''));
}
