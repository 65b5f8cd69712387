import { Filter, isPattern, matcherOf } from './topic.ts';

/** A segment that only a wildcard matches, because no topic contains a blank. */
const ANY_SEGMENT = ' ';

/** The topics that a list of topics and patterns allows, for example those that a sender may publish to. */
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
   * Whether the scope has every topic that a pattern matches. Several patterns of the scope may do so together: `a.*` and `a.*.>` cover `a.>`.
   * A topic is a pattern that matches itself. A pattern that begins with `$` matches nothing, and is not covered.
   */
  covers(pattern: string): boolean {
    if (!isPattern(pattern)) return this.#filter.matches(pattern);
    if (pattern.startsWith('$')) return false;
    const segments = pattern.split('.');
    const isOpen = segments.at(-1) === '>';
    // Replace each `*` by a segment that no name in the scope has. Only a wildcard of the scope matches it, and that wildcard matches every segment.
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
