import { Filter, isPattern, matcherOf } from './topic.ts';

/** Stands for a segment that only a wildcard matches: no topic has a blank. */
const ANY_SEGMENT = ' ';

/** A part of all topics, named by topics and patterns: what somebody may publish to, or read. */
export class TopicScope {
  readonly #filter: Filter;
  readonly #longest: number;
  #matcher: ((topic: readonly string[]) => boolean) | undefined;

  /** @param names Topics and patterns that passed `checkPattern`. */
  constructor(names: readonly string[]) {
    this.#filter = new Filter(names);
    this.#longest = Math.max(0, ...this.#filter.patterns.map((pattern) => pattern.split('.').length));
  }

  /** Whether the scope has a topic. */
  hasTopic(topic: string): boolean {
    return this.#filter.matches(topic);
  }

  /**
   * Whether the scope has every topic that a pattern matches, also where several of its own patterns together do: `a.*` and `a.*.>` cover `a.>`.
   * A topic is a pattern that matches itself. A pattern that begins with `$` matches nothing, and is not covered.
   */
  covers(pattern: string): boolean {
    if (!isPattern(pattern)) return this.#filter.matches(pattern);
    if (pattern.startsWith('$')) return false;
    const segments = pattern.split('.');
    const isOpen = segments.at(-1) === '>';
    // A wildcard of the pattern takes segments that nobody has named: only a wildcard of the scope takes these, and it takes all others too.
    const topic = (isOpen ? segments.slice(0, -1) : segments).map((segment) => segment === '*' ? ANY_SEGMENT : segment);
    if (!isOpen) return this.#has(topic);
    // Beyond the longest pattern of the scope only patterns that end in `>` match, and they match topics of any length.
    const most = Math.max(topic.length, this.#longest) + 1;
    while (topic.length < most) {
      topic.push(ANY_SEGMENT);
      if (!this.#has(topic)) return false;
    }
    return true;
  }

  #has(topic: readonly string[]): boolean {
    return (this.#matcher ??= matcherOf(this.#filter.patterns))(topic);
  }
}
