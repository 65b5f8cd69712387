import { Problem } from '../../model/problem.ts';
import { checkPattern, Filter } from '../../model/topic.ts';
import { ownText } from '../../runtime/memory.ts';

/** The topic or pattern in the path. Throws `invalid-topic`. */
export function filterFromPath(topic: string): Filter {
  return new Filter([ownText(checkPattern(topic))]);
}

/** The topics and patterns of `?topic=…&topic=…`, at least one and at most so many. Throws `invalid-topic`. */
export function filterFromQuery(query: unknown, max: number): Filter {
  const { topic } = query as { readonly topic?: string | readonly string[] };
  const names = topic === undefined ? [] : typeof topic === 'string' ? [topic] : topic;
  if (names.length === 0) throw new Problem('invalid-topic', 'topic is missing.', { field: 'topic' });
  if (names.length > max) {
    throw new Problem('invalid-topic', `There are ${names.length} topics, and ${max} are allowed.`, { field: 'topic' });
  }
  if (names.some((name) => name.includes(' '))) {
    throw new Problem('invalid-topic', 'The topic is not valid: it contains white space. In a query, + stands for a space; write %2B for a +.', { field: 'topic' });
  }
  return new Filter(names.map((name) => ownText(checkPattern(name))));
}
