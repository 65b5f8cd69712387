import { Problem } from './problem.ts';

/**
 * Topics are names of segments separated by `.`; patterns may use `*` for exactly one segment and `>` as the last
 * segment for one or more: the rules of NATS subjects (https://docs.nats.io/nats-concepts/subjects).
 */

/** Stops a name from filling index entries, frames and log lines. Bytes of UTF-8. */
export const TOPIC_MAX_BYTES = 255;

const FORBIDDEN = /[\s\p{Cc}]/u;

/** Checks the name of a topic to publish to. Throws `invalid-topic`. */
export function checkTopic(topic: string, field = 'topic'): string {
  checkName(topic, field);
  if (topic.includes('*') || topic.includes('>')) throw invalid(field, 'it contains a wildcard (* or >), and a message goes to one topic');
  if (topic.startsWith('$')) throw invalid(field, 'topics that begin with $ are reserved');
  return topic;
}

/** Checks a topic to read from, where a pattern is not wanted. Throws `invalid-topic`. */
export function checkLiteral(topic: string, field = 'topic'): string {
  checkName(topic, field);
  if (topic.includes('*') || topic.includes('>')) throw invalid(field, 'it contains a wildcard (* or >), and only a topic is asked for');
  return topic;
}

/** Checks a topic or pattern to read from. Throws `invalid-topic`. */
export function checkPattern(pattern: string, field = 'topic'): string {
  checkName(pattern, field);
  const segments = pattern.split('.');
  segments.forEach((segment, index) => {
    if (segment === '*' || (segment === '>' && index === segments.length - 1)) return;
    if (segment === '>') throw invalid(field, '> may only be the last segment');
    if (segment.includes('*') || segment.includes('>')) throw invalid(field, 'a wildcard must be a whole segment');
  });
  return pattern;
}

function checkName(name: string, field: string): void {
  if (name === '') throw invalid(field, 'it is empty');
  if (!name.isWellFormed()) throw invalid(field, 'it is not well-formed Unicode');
  if (Buffer.byteLength(name) > TOPIC_MAX_BYTES) throw invalid(field, `it is longer than ${TOPIC_MAX_BYTES} bytes`);
  if (FORBIDDEN.test(name)) throw invalid(field, 'it contains white space or a control character');
  if (name.startsWith('.') || name.endsWith('.') || name.includes('..')) throw invalid(field, 'it has an empty segment');
}

function invalid(field: string, why: string): Problem {
  return new Problem('invalid-topic', `The topic is not valid: ${why}.`, { field });
}

export function isPattern(name: string): boolean {
  return name.includes('*') || name.endsWith('>');
}

/** Whether a topic belongs to a pattern. Both were checked. A reserved topic (`$…`) belongs to no pattern. */
export function matches(pattern: string, topic: string): boolean {
  return !topic.startsWith('$') && matchesSegments(pattern.split('.'), topic.split('.'));
}

/** `matches`, for names that are in segments already, and not reserved. */
export function matchesSegments(pattern: readonly string[], topic: readonly string[]): boolean {
  for (let index = 0; index < pattern.length; index++) {
    const segment = pattern[index];
    if (index >= topic.length) return false;
    if (segment === '>') return true;
    if (segment !== '*' && segment !== topic[index]) return false;
  }
  return pattern.length === topic.length;
}

/**
 * What a reader wants: topics and patterns, without doubles and in one order, so that equal wishes have equal keys.
 */
export class Filter {
  readonly topics: readonly string[];
  readonly patterns: readonly string[];
  /** Equal for filters that match the same names. */
  readonly key: string;
  readonly #topics: ReadonlySet<string>;
  readonly #patterns: readonly (readonly string[])[];

  /** @param names Topics and patterns that passed `checkPattern`. */
  constructor(names: readonly string[]) {
    const sorted = [...new Set(names)].sort();
    this.topics = sorted.filter((name) => !isPattern(name));
    this.patterns = sorted.filter(isPattern);
    this.key = sorted.join(' ');
    this.#topics = new Set(this.topics);
    this.#patterns = this.patterns.map((pattern) => pattern.split('.'));
  }

  matches(topic: string): boolean {
    if (this.#topics.has(topic)) return true;
    if (this.#patterns.length === 0 || topic.startsWith('$')) return false;
    const segments = topic.split('.');
    return this.#patterns.some((pattern) => matchesSegments(pattern, segments));
  }
}
