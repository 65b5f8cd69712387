import { META_MAX_BYTES } from '../../presence/member.ts';
import type { PresenceChange, PresentMember } from '../../presence/place.ts';

/** How presence stands in Redis: the names of its keys, and the lines in them. The scripts (presence-scripts.ts) write the lines; here they are read, with suspicion. */

/** `lines`, `members` and `streams` of a topic. */
export function keysOf(topic: string): readonly string[] {
  return [`lines:${topic}`, `members:${topic}`, `streams:${topic}`];
}

export function topicsKey(member: string): string {
  return `topics:${member}`;
}

export function wroteKey(instance: string): string {
  return `wrote:${instance}`;
}

/** A topic and a member of what an instance has written. */
export function readWrote(text: string): Pick<PresenceChange, 'topic' | 'member'> {
  const end = text.indexOf('\0');
  return { topic: text.slice(0, end), member: text.slice(end + 1) };
}

/** One text: the client takes about as long for each value of a command as for the text of a whole change. */
export function changesText(changes: readonly PresenceChange[]): string {
  return JSON.stringify(changes.flatMap(({ topic, member, topicStreams, isPresent, streams, since, meta = '', metaAt }) => [topic, member, topicStreams, isPresent ? 1 : 0, streams, since, metaAt, meta]));
}

/** The sum of a member's lines on living instances; undefined if no line can be read. A stranger with access to Redis may have written other lines. */
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

/** Milliseconds since 1970 have 13 digits. */
function isWhole(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,14}$/.test(text);
}

/** A line end in it would end a line of a frame. */
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
