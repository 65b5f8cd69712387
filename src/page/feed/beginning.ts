/** Topics and the beginning of a feed, as its address and its fields write them. */

/** For the client library. */
export function beginning(from: string): { readonly last?: number; readonly since?: string; readonly after?: string } {
  const colon = from.indexOf(':');
  const kind = colon === -1 ? from : from.slice(0, colon);
  const value = from.slice(colon + 1);
  switch (kind) {
    case 'last': return { last: Number(value) };
    case 'since': return { since: value };
    case 'start': return { after: 'start' };
    case 'after': return { after: value };
    default: return {};
  }
}

/** Topics as they were typed: between spaces, with or without commas. A comma inside a topic is a part of its name. */
export function topicsIn(text: string): readonly string[] {
  return wordsIn(text.replaceAll(/(^|\s),+|,+(?=\s|$)/g, ' '));
}

/** Topics as an address and a grant have them. */
export function wordsIn(text: string): readonly string[] {
  return [...new Set(text.split(/\s+/).filter((topic) => topic !== ''))];
}

/** The newest messages that the client library asks for at once. */
const LAST_MAX_MESSAGES = 1_000;

/** Whether a feed can begin there. An address may say anything. */
export function isBeginning(from: string): boolean {
  const [, kind, value] = /^(last|since|after):(.+)$/.exec(from) ?? [];
  if (kind === 'last') return /^\d+$/.test(value!) && Number(value) <= LAST_MAX_MESSAGES;
  return kind !== undefined || from === 'now' || from === 'start';
}
