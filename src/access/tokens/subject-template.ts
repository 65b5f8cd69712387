import { checkPattern } from '../../model/topic.ts';
import { Problem } from '../../model/problem.ts';

/** The segment of a pattern that stands for the subject: one template gives each user topics of their own. */
const PLACEHOLDER = '{sub}';

/** Bytes that stay as they are. All of them are unreserved in URLs (RFC 3986, 2.3). */
const ESCAPED = /[^A-Za-z0-9_-]/g;

/**
 * A subject as one segment of a topic. ASCII letters and digits, `_` and `-` stay. Every other byte of its UTF-8, `~` too, becomes `~` and two upper-case
 * hexadecimal digits. So no two subjects share a segment, and no segment has a wildcard, a dot or a `$`. It needs no percent-encoding in URLs.
 * Applications compute it as well, as docs/access-jwt.md says.
 * @param subject Not empty, and well-formed Unicode.
 */
export function subjectSegment(subject: string): string {
  return Buffer.from(subject).toString('latin1').replace(ESCAPED, (byte) => `~${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/**
 * The pattern that a template gives a subject. It has as many segments as the template, and its wildcards are the template's. Braces are for placeholders
 * only: a misspelt one would otherwise name a topic that all subjects share.
 * @throws Problem `invalid-topic`, with nothing of either in its text.
 */
export function expandPattern(template: string, subject: string, field: string): string {
  const segments = checkPattern(template, field).split('.').map((segment) => {
    if (segment === PLACEHOLDER) return subjectSegment(subject);
    if (/[{}]/.test(segment)) throw new Problem('invalid-topic', `The topic is not valid: the only segment with braces may be ${PLACEHOLDER}.`, { field });
    return segment;
  });
  return checkPattern(segments.join('.'), field);
}
