/** Whether a topic or pattern matches a topic. `*` matches one segment; `>`, which may only be the last segment, matches one or more. */
export function matches(pattern: string, topic: string): boolean {
  const [wanted, segments] = [pattern.split('.'), topic.split('.')];
  const isLong = pattern.endsWith('>') ? segments.length >= wanted.length : segments.length === wanted.length;
  // `>` is the last segment of a valid pattern, so the lengths compared above cover the segments that it matches.
  return isLong && wanted.every((name, index) => name === '*' || name === '>' || name === segments[index]);
}

/** The number in an id or cursor: `k3f9x2ab-1042` has 1042. Numbers grow along the log; after a `$gap` they may begin lower. */
export function placeOf(id: string): number {
  return Number(id.split('-').at(-1));
}

export function topicQuery(topics: readonly string[]): URLSearchParams {
  return new URLSearchParams(topics.map((topic): [string, string] => ['topic', topic]));
}
