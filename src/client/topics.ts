/** Whether a topic or pattern names a topic: `*` is one segment, `>` as the last one or more. */
export function matches(pattern: string, topic: string): boolean {
  const [wanted, segments] = [pattern.split('.'), topic.split('.')];
  const isOpen = wanted.at(-1) === '>';
  if (isOpen ? segments.length < wanted.length : segments.length !== wanted.length) return false;
  return wanted.every((name, index) => name === '*' || name === segments[index] || (isOpen && index === wanted.length - 1));
}

/** How far along the log an id is. It counts up along one log; after a `$gap` it may begin lower. */
export function placeOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('-') + 1));
}

export function topicQuery(topics: readonly string[]): URLSearchParams {
  return new URLSearchParams(topics.map((topic): [string, string] => ['topic', topic]));
}
