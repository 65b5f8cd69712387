import { matchesSegments, PatternTree } from './pattern-tree.ts';
import { Problem } from './problem.ts';

/**
 * Topics are segments separated by `.`, by the rules of NATS subjects (https://docs.nats.io/nats-concepts/subjects). In a pattern, `*` matches exactly one
 * segment, and `>` at the end one or more.
 */

/** The longest topic or pattern, in UTF-8. Stops a name from filling index entries, frames and log lines. */
export const TOPIC_MAX_BYTES = 255;

/**
 * The most segments of a client's pattern. Stops patterns that make a match long or take much memory: a match walks down the tree of patterns, one level for each segment (pattern-tree.ts).
 * The segments of topics have no such bound.
 */
export const PATTERN_MAX_SEGMENTS = 16;

/** `*` may only be among this many first segments. Each level with a `*` can double the branches of the tree that a match visits. */
export const WILDCARD_MAX_SEGMENTS = 8;

/** A filter with at most this many patterns compares them one by one. A tree of so few patterns costs more than it saves. */
const LISTED_MAX_PATTERNS = 4;

const FORBIDDEN = /[\s\p{Cc}]/u;

/** Checks the name of a topic to publish to. Throws `invalid-topic`. */
export function checkTopic(topic: string, field = 'topic'): string {
  checkName(topic, field);
  if (topic.includes('*') || topic.includes('>')) throw invalid(field, 'it contains a wildcard (* or >), and a message goes to one topic');
  if (topic.startsWith('$')) throw invalid(field, 'topics that begin with $ are reserved');
  return topic;
}

/** Checks a topic to read from, for an endpoint that takes no patterns. Throws `invalid-topic`. */
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

/**
 * Checks a topic or pattern that a client wants to read. Its segments are bounded, because every message is matched against it.
 * The patterns of grants come from administrators, and need only `checkPattern`. Throws `invalid-topic`.
 */
export function checkWish(pattern: string, field = 'topic'): string {
  checkPattern(pattern, field);
  if (!isPattern(pattern)) return pattern;
  const segments = pattern.split('.');
  if (segments.length > PATTERN_MAX_SEGMENTS) throw invalid(field, `a pattern has at most ${PATTERN_MAX_SEGMENTS} segments, and this one has ${segments.length}`);
  if (segments.lastIndexOf('*') >= WILDCARD_MAX_SEGMENTS) throw invalid(field, `* may only be among the first ${WILDCARD_MAX_SEGMENTS} segments of a pattern`);
  return pattern;
}

/** Checks the beginning of topic names in a search. Throws `invalid-topic`. */
export function checkPrefix(prefix: string, field: string): string {
  if (prefix === '') throw invalid(field, 'it is empty; leave it out for all');
  if (prefix.includes('*') || prefix.includes('>')) throw invalid(field, 'it contains a wildcard (* or >), and names begin with it as it is');
  if (!isTopicPart(prefix)) throw invalid(field, `no name begins with it: it is longer than ${TOPIC_MAX_BYTES} bytes, or not well-formed Unicode, or contains white space or a control character`);
  return prefix;
}

/** Whether the name of a topic may begin with this text. */
export function isTopicPart(text: string): boolean {
  return text.isWellFormed() && Buffer.byteLength(text) <= TOPIC_MAX_BYTES && !FORBIDDEN.test(text);
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

/**
 * The topics and patterns of a reader. The constructor sorts them and drops duplicates, so equal filters have equal keys.
 */
export class Filter {
  readonly topics: readonly string[];
  readonly patterns: readonly string[];
  /** Equal for filters that match the same names. */
  readonly key: string;
  readonly #topics: ReadonlySet<string>;
  #matcher: ((topic: readonly string[]) => boolean) | undefined;

  /** @param names Topics and patterns that passed `checkPattern`. */
  constructor(names: readonly string[]) {
    const sorted = [...new Set(names)].sort();
    this.topics = sorted.filter((name) => !isPattern(name));
    this.patterns = sorted.filter(isPattern);
    this.key = sorted.join(' ');
    this.#topics = new Set(this.topics);
  }

  /** The topics and the patterns. */
  get names(): readonly string[] {
    return [...this.topics, ...this.patterns];
  }

  matches(topic: string): boolean {
    if (this.#topics.has(topic)) return true;
    if (this.patterns.length === 0 || topic.startsWith('$')) return false;
    // Make it for the first lookup: the audience finds live streams by its own index, so most filters need no matcher.
    return (this.#matcher ??= matcherOf(this.patterns))(topic.split('.'));
  }
}

/** The names of the first filter that the other filter lacks. */
export function namesBesides({ names }: Filter, other: Filter): readonly string[] {
  const others = new Set(other.names);
  return names.filter((name) => !others.has(name));
}

/** Returns a function that matches the segments of a topic against patterns. The caller has excluded reserved topics. */
export function matcherOf(patterns: readonly string[]): (topic: readonly string[]) => boolean {
  const all = patterns.map((pattern) => pattern.split('.'));
  if (all.length <= LISTED_MAX_PATTERNS) return (topic) => all.some((pattern) => matchesSegments(pattern, topic));
  const tree = new PatternTree<undefined>();
  for (const pattern of all) tree.add(pattern, undefined);
  return (topic) => tree.has(topic);
}
