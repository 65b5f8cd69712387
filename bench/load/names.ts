import type { Names } from './protocol.ts';

/** The name of number i: `{i}` is the number, `{i%1000}` its remainder. */
export function nameOf(template: string, i: number): string {
  return template.replace(/\{i(?:%(\d+))?\}/g, (_all, modulus?: string) => String(modulus === undefined ? i : i % Number(modulus)));
}

export function allNames({ name, count }: Names): string[] {
  return Array.from({ length: count }, (_, i) => nameOf(name, i));
}

interface Node {
  readonly children: Map<string, Node>;
  /** The number of the topic that ends here. */
  topic?: number;
}

/** Which of a run's topics a stream gets: topics by name, patterns as in NATS (`*` one segment, `>` at the end one or more). */
export class TopicIndex {
  readonly #root: Node = { children: new Map() };
  readonly #found = new Map<string, readonly number[]>();

  constructor(topics: readonly string[]) {
    topics.forEach((topic, number) => {
      let node = this.#root;
      for (const segment of topic.split('.')) {
        let child = node.children.get(segment);
        if (child === undefined) node.children.set(segment, child = { children: new Map() });
        node = child;
      }
      node.topic = number;
    });
  }

  /** Numbers of the topics that one of the names means, without doubles. Equal names are answered with the same array. */
  find(names: readonly string[]): readonly number[] {
    const key = names.join(' ');
    let found = this.#found.get(key);
    if (found === undefined) {
      const topics = new Set<number>();
      for (const name of names) collect(this.#root, name.split('.'), 0, topics);
      this.#found.set(key, found = [...topics].sort((a, b) => a - b));
    }
    return found;
  }
}

function collect(node: Node, segments: readonly string[], depth: number, into: Set<number>): void {
  if (depth === segments.length) {
    if (node.topic !== undefined) into.add(node.topic);
    return;
  }
  const segment = segments[depth]!;
  if (segment === '>' && depth === segments.length - 1) for (const child of node.children.values()) collectAll(child, into);
  else if (segment === '*') for (const child of node.children.values()) collect(child, segments, depth + 1, into);
  else {
    const child = node.children.get(segment);
    if (child !== undefined) collect(child, segments, depth + 1, into);
  }
}

function collectAll(node: Node, into: Set<number>): void {
  if (node.topic !== undefined) into.add(node.topic);
  for (const child of node.children.values()) collectAll(child, into);
}
