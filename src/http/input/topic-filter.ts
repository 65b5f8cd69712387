import { Problem } from '../../model/problem.ts';
import { checkLiteral, checkWish, Filter } from '../../model/topic.ts';
import { ownText } from '../../runtime/memory.ts';
import { isOn } from './stream-switches.ts';

/** The topic or pattern in the path; with `pattern=0` only a topic. Throws `invalid-topic`. */
export function filterFromPath(topic: string, query: unknown): Filter {
  return new Filter([ownText(checkName(query)(topic))]);
}

/** With `pattern=0` a wildcard is refused. So an application may put a user's name into a topic, and a user with the name `>` cannot read everything. */
function checkName(query: unknown): (name: string) => string {
  return isOn(query, 'pattern') ? checkWish : checkLiteral;
}

/**
 * The topics and patterns of `?topic=…&topic=…`, at least one and at most `TOPICS_PER_STREAM`; with `pattern=0` only topics. Throws `invalid-topic`.
 * @param bound What the bound is called.
 */
export function filterFromQuery(query: unknown, max: number, bound = 'TOPICS_PER_STREAM'): Filter {
  const { topic } = query as { readonly topic?: string | readonly string[] };
  const names = topic === undefined ? [] : typeof topic === 'string' ? [topic] : topic;
  if (names.length === 0) throw new Problem('invalid-topic', 'topic is missing.', { field: 'topic' });
  if (names.length > max) {
    throw new Problem('invalid-topic', `There are ${names.length} topics, and ${max} are allowed (${bound}).`, { field: 'topic' });
  }
  if (names.some((name) => name.includes(' '))) {
    throw new Problem('invalid-topic', 'The topic is not valid: it contains white space. In a query, + stands for a space; write %2B for a +.', { field: 'topic' });
  }
  const check = checkName(query);
  return new Filter(names.map((name) => ownText(check(name))));
}
