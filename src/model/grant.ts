import type { Permissions } from './permissions.ts';
import { Problem } from './problem.ts';
import { TopicScope } from './topic-scope.ts';
import type { Filter } from './topic.ts';

/**
 * The rights of a sender on topics. Admission finds the grant from a request's head, but cannot check it: a batch names its topics in its body, and
 * only the log has the topic of an id. So the publisher and the readers check it, where they have the topics.
 */
export interface Grant {
  /** Whether messages may be published to a topic. */
  mayPublish(topic: string): boolean;
  /** The topics and patterns that may be published to; absent for all. */
  readonly publishable?: readonly string[];
  /** Whether every topic that a pattern matches may be read. A topic is a pattern that matches itself. */
  mayRead(pattern: string): boolean;
  /** The topics and patterns that may be read; absent for all. */
  readonly readable?: readonly string[];
  /** Whether messages of a topic may be erased. */
  mayErase(topic: string): boolean;
  /** The topics and patterns whose messages may be erased; absent for all. */
  readonly erasable?: readonly string[];
  /** Whether messages of any topic may be erased. */
  readonly erases?: boolean;
  /** Whether the grant allows presence on a topic, or on every topic of a pattern. */
  maySeePresence(pattern: string): boolean;
  /** Whether the grant allows presence on any topic. */
  readonly seesPresence?: boolean;
  /** The topics and patterns whose presence may be seen; absent for all. */
  readonly presenceScope?: readonly string[];
  /** Whether the request had no credential. Then a refusal is 401, because a credential may allow more. */
  readonly isAnonymous?: boolean;
  /** Whether nothing may be published or read. */
  readonly isEmpty?: boolean;
}

/** Allows everything but erasing, which always needs a credential. */
export const FULL_GRANT: Grant = { mayPublish: () => true, mayRead: () => true, mayErase: () => false, erasable: [], maySeePresence: () => true, seesPresence: true };

/** The lists hold topics and patterns that passed `checkPattern`. */
export interface ScopedGrantOptions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly erase?: readonly string[] | undefined;
  readonly presence?: readonly string[] | undefined;
  readonly isAnonymous?: boolean;
}

/** A grant by lists of topics and patterns. */
export class ScopedGrant implements Grant {
  readonly publishable: readonly string[];
  readonly readable: readonly string[];
  readonly erasable: readonly string[];
  readonly isAnonymous: boolean;
  readonly isEmpty: boolean;
  readonly erases: boolean;
  readonly seesPresence: boolean;
  readonly presenceScope: readonly string[];
  readonly #publish: TopicScope;
  readonly #subscribe: TopicScope;
  readonly #erase: TopicScope;
  readonly #presence: TopicScope;

  constructor({ publish, subscribe, erase = [], presence = [], isAnonymous = false }: ScopedGrantOptions) {
    this.publishable = publish;
    this.readable = subscribe;
    this.erasable = erase;
    this.isAnonymous = isAnonymous;
    this.isEmpty = publish.length + subscribe.length === 0;
    this.#publish = new TopicScope(publish);
    this.#subscribe = new TopicScope(subscribe);
    this.erases = erase.length > 0;
    this.#erase = new TopicScope(erase);
    this.seesPresence = presence.length > 0;
    this.presenceScope = presence;
    this.#presence = new TopicScope(presence);
  }

  mayPublish(topic: string): boolean {
    return this.#publish.hasTopic(topic);
  }

  mayRead(pattern: string): boolean {
    return this.#subscribe.covers(pattern);
  }

  mayErase(topic: string): boolean {
    return this.#erase.hasTopic(topic);
  }

  maySeePresence(pattern: string): boolean {
    return this.#presence.covers(pattern);
  }
}

/** Refuses a request if its sender may not publish all of its messages. @returns undefined if the sender may. */
export function publishProblem(grant: Grant, drafts: readonly { readonly topic: string }[]): Problem | undefined {
  let topics: Set<string> | undefined;
  for (const { topic } of drafts) if (!grant.mayPublish(topic)) (topics ??= new Set()).add(topic);
  return topics && notAllowed(grant, 'publish', 'publish to', topics);
}

/** Refuses a filter if the sender may not read all of its topics and patterns. */
export function readProblem(grant: Grant, { topics, patterns }: Filter): Problem | undefined {
  const names = [...topics, ...patterns].filter((name) => !grant.mayRead(name));
  return names.length === 0 ? undefined : notAllowed(grant, 'subscribe', 'read', new Set(names));
}

/** Refuses to erase messages of a topic that the sender may not erase. */
export function eraseProblem(grant: Grant, topic: string): Problem | undefined {
  return grant.mayErase(topic) ? undefined : notAllowed(grant, 'erase', 'erase messages of', new Set([topic]));
}

/** Refuses presence if the sender may not see it on all topics and patterns of a filter. */
export function presenceProblem(grant: Grant, { topics, patterns }: Filter): Problem | undefined {
  const names = [...topics, ...patterns].filter((name) => !grant.maySeePresence(name));
  return names.length === 0 ? undefined : notAllowed(grant, 'presence', 'see who listens to', new Set(names));
}

/** How many topics a refusal names. Stops the answer to a large batch from being as large as the batch. */
const NAMED_MAX_ENTRIES = 10;

/** @param name The member of `Permissions` that lacks the topics. @param what The verb in the error message. */
function notAllowed(grant: Grant, name: keyof Permissions, what: string, topics: ReadonlySet<string>): Problem {
  const named = [...topics].slice(0, NAMED_MAX_ENTRIES).join(', ');
  const all = topics.size > NAMED_MAX_ENTRIES ? `${named} and ${topics.size - NAMED_MAX_ENTRIES} more` : named;
  return grant.isAnonymous === true
    ? new Problem('unauthorized', `To ${what} ${all} takes a credential: Authorization: Bearer with a key or token.`, { field: 'Authorization' })
    : new Problem('forbidden', `This request may not ${what} ${all}: that takes the grant ${name}.`, { field: 'topic' });
}
