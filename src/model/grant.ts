import type { Permissions } from './permissions.ts';
import { Problem } from './problem.ts';
import { TopicScope } from './topic-scope.ts';
import type { Filter } from './topic.ts';

/**
 * The rights of a sender on topics. Admission yields it from the request's head. The publisher and the readers require it, because they
 * alone learn all topics. A batch names its topics in its body, and only the log knows the topic of an id.
 */
export interface Grant {
  /** Whether messages may be published to a topic. */
  mayPublish(topic: string): boolean;
  /** The topics and patterns that may be published to; absent where all may be. */
  readonly publishable?: readonly string[];
  /** Whether every topic that a pattern matches may be read. A topic is a pattern that matches itself. */
  mayRead(pattern: string): boolean;
  /** The topics and patterns that may be read; absent where all may be. */
  readonly readable?: readonly string[];
  /** Whether messages of a topic may be erased. */
  mayErase(topic: string): boolean;
  /** The topics and patterns whose messages may be erased; absent for all. */
  readonly erasable?: readonly string[];
  /** Whether there is any such topic. */
  readonly erases?: boolean;
  /** Whether the grant allows presence on a topic, or on every topic of a pattern. */
  maySeePresence(pattern: string): boolean;
  /** Whether there is any such topic. */
  readonly seesPresence?: boolean;
  /** The topics and patterns whose presence may be seen; absent for all. */
  readonly presenceScope?: readonly string[];
  /** Whether there was no credential: with one, more may be allowed. */
  readonly isAnonymous?: boolean;
  /** Whether nothing may be published or read. */
  readonly isEmpty?: boolean;
}

/** Everybody may publish and read everything. Erasing still needs a credential that allows it. */
export const FULL_GRANT: Grant = { mayPublish: () => true, mayRead: () => true, mayErase: () => false, erasable: [], maySeePresence: () => true, seesPresence: true };

/** Topics and patterns that were checked. */
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

/** Why the messages of a request may not be published: all of them may be, or none. */
export function publishProblem(grant: Grant, drafts: readonly { readonly topic: string }[]): Problem | undefined {
  let topics: Set<string> | undefined;
  for (const { topic } of drafts) if (!grant.mayPublish(topic)) (topics ??= new Set()).add(topic);
  return topics && notAllowed(grant, 'publish', 'publish to', topics);
}

/** Why a filter may not be read: all of it may be, or nothing. */
export function readProblem(grant: Grant, { topics, patterns }: Filter): Problem | undefined {
  const names = [...topics, ...patterns].filter((name) => !grant.mayRead(name));
  return names.length === 0 ? undefined : notAllowed(grant, 'subscribe', 'read', new Set(names));
}

/** Why messages of a topic may not be erased. */
export function eraseProblem(grant: Grant, topic: string): Problem | undefined {
  return grant.mayErase(topic) ? undefined : notAllowed(grant, 'erase', 'erase messages of', new Set([topic]));
}

/** Why it may not be seen who listens to some topics and patterns: to all of them it may be, or to none. */
export function presenceProblem(grant: Grant, { topics, patterns }: Filter): Problem | undefined {
  const names = [...topics, ...patterns].filter((name) => !grant.maySeePresence(name));
  return names.length === 0 ? undefined : notAllowed(grant, 'presence', 'see who listens to', new Set(names));
}

/** How many topics an answer names. Stops the answer to a large batch from being as large. */
const NAMED_MAX_ENTRIES = 10;

/** @param name Of the list of topics and patterns that lacks some. */
function notAllowed(grant: Grant, name: keyof Permissions, what: string, topics: ReadonlySet<string>): Problem {
  const named = [...topics].slice(0, NAMED_MAX_ENTRIES).join(', ');
  const all = topics.size > NAMED_MAX_ENTRIES ? `${named} and ${topics.size - NAMED_MAX_ENTRIES} more` : named;
  return grant.isAnonymous === true
    ? new Problem('unauthorized', `To ${what} ${all} takes a credential: Authorization: Bearer with a key or token.`, { field: 'Authorization' })
    : new Problem('forbidden', `This request may not ${what} ${all}: that takes the grant ${name}.`, { field: 'topic' });
}
