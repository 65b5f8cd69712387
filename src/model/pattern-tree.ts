/**
 * Patterns in a tree with one level for each segment, each with its values. A topic leads from a node to at most two others: that of its next
 * segment and that of `*`. So the number of patterns does not bound what a match looks at; the depth of the topic and the places of `*` do.
 *
 * With `PATTERN_MAX_SEGMENTS` and `WILDCARD_MAX_SEGMENTS` a match visits at most 2,559 nodes. Below the root, eight levels double, up to 256 nodes. From
 * there 256 paths go on for eight segments more.
 */
export class PatternTree<Value> {
  /** The subtrees by their next segment. A single pattern below it is a leaf, without nodes for its other segments. */
  #next: Map<string, PatternTree<Value> | Leaf<Value>> | undefined;
  /** The subtree of `*`, kept apart because every match asks for it. */
  #any: PatternTree<Value> | Leaf<Value> | undefined;
  /** The values of patterns that end here, and of patterns that continue with `>`. */
  #here: Set<Value> | undefined;
  #rest: Set<Value> | undefined;

  get isEmpty(): boolean {
    return this.#next === undefined && this.#any === undefined && this.#here === undefined && this.#rest === undefined;
  }

  /** @param pattern The segments of a pattern that passed `checkPattern`. */
  add(pattern: readonly string[], value: Value, at = 0): void {
    const segment = pattern[at];
    if (segment === undefined) (this.#here ??= new Set()).add(value);
    else if (segment === '>') (this.#rest ??= new Set()).add(value);
    else {
      const child = this.#child(segment);
      if (child instanceof PatternTree) child.add(pattern, value, at + 1);
      else if (child?.isOf(pattern) === true) child.values.add(value);
      else if (child === undefined && !isEnd(pattern, at + 1)) this.#setChild(segment, new Leaf(pattern, value));
      else {
        const node = new PatternTree<Value>();
        if (child !== undefined) node.#put(child, at + 1);
        node.add(pattern, value, at + 1);
        this.#setChild(segment, node);
      }
    }
  }

  remove(pattern: readonly string[], value: Value, at = 0): void {
    const segment = pattern[at];
    if (segment === undefined) this.#here = without(this.#here, value);
    else if (segment === '>') this.#rest = without(this.#rest, value);
    else {
      const child = this.#child(segment);
      if (child instanceof PatternTree) child.remove(pattern, value, at + 1);
      else if (child?.isOf(pattern) === true) child.values.delete(value);
      if (child?.isEmpty === true) this.#setChild(segment, undefined);
    }
  }

  /** Calls `visit` with the values of all patterns that match; a value with several such patterns is visited for each. */
  match(topic: readonly string[], visit: (value: Value) => void, at = 0): void {
    const segment = topic[at];
    if (segment === undefined) {
      if (this.#here !== undefined) for (const value of this.#here) visit(value);
      return;
    }
    if (this.#rest !== undefined) for (const value of this.#rest) visit(value);
    if (this.#next !== undefined) this.#next.get(segment)?.match(topic, visit, at + 1);
    if (this.#any !== undefined) this.#any.match(topic, visit, at + 1);
  }

  /** Whether a pattern matches. */
  has(topic: readonly string[], at = 0): boolean {
    const segment = topic[at];
    if (segment === undefined) return this.#here !== undefined;
    return this.#rest !== undefined || this.#next?.get(segment)?.has(topic, at + 1) === true || this.#any?.has(topic, at + 1) === true;
  }

  #child(segment: string): PatternTree<Value> | Leaf<Value> | undefined {
    return segment === '*' ? this.#any : this.#next?.get(segment);
  }

  #setChild(segment: string, child: PatternTree<Value> | Leaf<Value> | undefined): void {
    if (segment === '*') this.#any = child;
    else if (child !== undefined) (this.#next ??= new Map()).set(segment, child);
    else {
      this.#next?.delete(segment);
      if (this.#next?.size === 0) this.#next = undefined;
    }
  }

  /** Moves a leaf of the node before to this one, which is empty. */
  #put(leaf: Leaf<Value>, at: number): void {
    if (!isEnd(leaf.pattern, at + 1)) this.#setChild(leaf.pattern[at]!, leaf);
    else for (const value of leaf.values) this.add(leaf.pattern, value, at);
  }
}

/** Stands for a subtree with a single pattern. So a pattern that shares no further segment with others needs no nodes for its segments. */
class Leaf<Value> {
  readonly pattern: readonly string[];
  readonly values: Set<Value>;

  constructor(pattern: readonly string[], value: Value) {
    this.pattern = pattern;
    this.values = new Set([value]);
  }

  get isEmpty(): boolean {
    return this.values.size === 0;
  }

  isOf(pattern: readonly string[]): boolean {
    return pattern.length === this.pattern.length && pattern.every((segment, index) => segment === this.pattern[index]);
  }

  match(topic: readonly string[], visit: (value: Value) => void, at: number): void {
    if (matchesSegments(this.pattern, topic, at)) for (const value of this.values) visit(value);
  }

  has(topic: readonly string[], at: number): boolean {
    return matchesSegments(this.pattern, topic, at);
  }
}

/** Whether a pattern has no segments from here on, or only `>`: then a node holds its values. */
function isEnd(pattern: readonly string[], at: number): boolean {
  return at >= pattern.length || pattern[at] === '>';
}

function without<Value>(values: Set<Value> | undefined, value: Value): Set<Value> | undefined {
  values?.delete(value);
  return values?.size === 0 ? undefined : values;
}

/** Whether a pattern matches a topic, compared from segment `at` on: the caller has compared the segments before. */
export function matchesSegments(pattern: readonly string[], topic: readonly string[], at = 0): boolean {
  for (let index = at; index < pattern.length; index++) {
    const segment = pattern[index];
    if (index >= topic.length) return false;
    if (segment === '>') return true;
    if (segment !== '*' && segment !== topic[index]) return false;
  }
  return pattern.length === topic.length;
}
