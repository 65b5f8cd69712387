/** Whether a topic or pattern names a topic: `*` is one segment, `>` as the last one or more. */
export function matches(pattern: string, topic: string): boolean {
  const [wanted, segments] = [pattern.split('.'), topic.split('.')];
  const isLong = pattern.endsWith('>') ? segments.length >= wanted.length : segments.length === wanted.length;
  // No topic has a segment `>`: that of a pattern is the last.
  return isLong && wanted.every((name, index) => name === '*' || name === '>' || name === segments[index]);
}

/** How far along the log an id is. It counts up along one log; after a `$gap` it may begin lower. */
export function placeOf(id: string): number {
  return Number(id.split('-').at(-1));
}

export function topicQuery(topics: readonly string[]): URLSearchParams {
  return new URLSearchParams(topics.map((topic): [string, string] => ['topic', topic]));
}
