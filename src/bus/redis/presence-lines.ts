import { META_MAX_BYTES } from '../../presence/member.ts';
import type { PresenceChange, PresentMember } from '../../presence/place.ts';

/** The keys of presence in Redis, and the lines in them. The scripts (presence-scripts.ts) write the lines. This file reads them, and checks them: another program may have written them. */

/** The three keys of a topic: see presence-scripts.ts. */
export function linesKey(topic: string): string {
  return `lines:${topic}`;
}

export function membersKey(topic: string): string {
  return `members:${topic}`;
}

export function streamsKey(topic: string): string {
  return `streams:${topic}`;
}

/** The topics of a member. */
export function topicsKey(member: string): string {
  return `topics:${member}`;
}

/** The entries that an instance wrote. */
export function wroteKey(instance: string): string {
  return `wrote:${instance}`;
}

/** Reads one of the entries that an instance wrote: a topic, NUL, and a member. */
export function readWrote(text: string): Pick<PresenceChange, 'topic' | 'member'> {
  const end = text.indexOf('\0');
  return { topic: text.slice(0, end), member: text.slice(end + 1) };
}

/** All changes as one text, because each value of a command costs the client about as much as a whole change in this text. */
export function changesText(changes: readonly PresenceChange[]): string {
  return JSON.stringify(changes.flatMap(({ topic, member, topicStreams, isPresent, streams, since, meta = '', metaAt }) => [topic, member, topicStreams, isPresent ? 1 : 0, streams, since, metaAt, meta]));
}

/** Adds up a member's lines, one of each living instance. Skips invalid lines. Undefined if no line is valid. */
export function readLines(lines: string): Omit<PresentMember, 'id'> | undefined {
  let [streams, since, newest] = [0, Infinity, -1];
  let meta: string | undefined;
  for (const line of lines.split('\n')) {
    const [, count, from, metaAt, text = ''] = line.split('\t');
    if (!isWhole(count) || !isWhole(from)) continue;
    streams += Number(count);
    since = Math.min(since, Number(from));
    if (text === '' || !(Number(metaAt) > newest) || !isMeta(text)) continue;
    newest = Number(metaAt);
    meta = text;
  }
  return since === Infinity ? undefined : { streams, since, meta };
}

/** At most 14 digits: milliseconds since 1970 have 13. */
function isWhole(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,14}$/.test(text);
}

/** Whether the text is JSON that fits into one line of a frame. */
function isMeta(text: string): boolean {
  if (text.includes('\r') || Buffer.byteLength(text) > META_MAX_BYTES) return false;
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return false;
  }
}
