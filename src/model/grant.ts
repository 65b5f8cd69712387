import { Problem } from './problem.ts';
import type { Filter } from './topic.ts';

/**
 * What the sender of a request may do with topics. Admission yields it from the request's head. The publisher and the readers require it, because they
 * alone learn all topics. A batch names its topics in its body, and only the log knows the topic of an id.
 */
export interface Grant {
  /** Whether messages may be published to a topic. */
  mayPublish(topic: string): boolean;
  /** Whether every topic that a pattern matches may be read. A topic is a pattern that matches itself. */
  mayRead(pattern: string): boolean;
}

/** Everybody may do everything. */
export const FULL_GRANT: Grant = { mayPublish: () => true, mayRead: () => true };

/** Why the messages of a request may not be published: all of them may be, or none. */
export function publishProblem(grant: Grant, drafts: readonly { readonly topic: string }[]): Problem | undefined {
  const draft = drafts.find(({ topic }) => !grant.mayPublish(topic));
  return draft === undefined ? undefined : forbidden('publish to', draft.topic);
}

/** Why a filter may not be read: all of it may be, or nothing. */
export function readProblem(grant: Grant, { topics, patterns }: Filter): Problem | undefined {
  const mayNot = (name: string): boolean => !grant.mayRead(name);
  const name = topics.find(mayNot) ?? patterns.find(mayNot);
  return name === undefined ? undefined : forbidden('read', name);
}

function forbidden(what: string, name: string): Problem {
  return new Problem('forbidden', `This request may not ${what} ${name}.`, { field: 'topic' });
}
