import { matches } from '../../../client/topics.ts';

/** The draft of a message, and the messages that this page has published. */

/** Stops sent messages from filling the page. */
const SENT_MAX_ENTRIES = 50;
/** Offered to everybody who may publish there: it is the topic of the README. */
const EXAMPLE_TOPIC = 'hello';
/** The grant to publish to all topics. */
export const EVERYTHING: readonly string[] = ['>'];

export interface Draft {
  readonly topic: string;
  readonly event: string;
  readonly isJson: boolean;
  readonly data: string;
  readonly ttl: string;
  readonly key: string;
}

/** A message that was published from this page. */
export interface Sent extends Draft {
  readonly id: string;
  readonly time: string;
  readonly isReplayed: boolean;
  readonly report?: { readonly streams: number; readonly instances: number; readonly partial?: true };
}

export interface PublishState {
  readonly draft: Draft;
  /** The newest first. */
  readonly sent: readonly Sent[];
  /** Topics and patterns that the person may publish to; undefined while that is not known. */
  readonly allowed?: readonly string[];
}

export function firstState(allowed: readonly string[] | undefined): PublishState {
  const state = { draft: { topic: '', event: '', isJson: true, data: '{"text": "hello, world"}', ttl: '', key: '' }, sent: [] };
  return allowed === undefined ? state : withAllowed(state, allowed);
}

/** Offers a topic, unless the person has typed one. */
export function withAllowed(state: PublishState, allowed: readonly string[]): PublishState {
  const { draft } = state;
  return { ...state, allowed, draft: draft.topic === '' ? { ...draft, topic: offeredTopic(allowed) } : draft };
}

export function withSent(state: PublishState, done: Sent): PublishState {
  return { ...state, sent: [done, ...state.sent].slice(0, SENT_MAX_ENTRIES) };
}

export function draftOf({ topic, event, isJson, data, ttl, key }: Sent): Draft {
  return { topic, event, isJson, data, ttl, key };
}

export function isEverything(allowed: readonly string[]): boolean {
  return allowed.includes('>');
}

/** A topic that may be published to; `''` where only patterns are known, of which the person chooses a topic. */
export function offeredTopic(allowed: readonly string[]): string {
  if (allowed.some((pattern) => matches(pattern, EXAMPLE_TOPIC))) return EXAMPLE_TOPIC;
  return allowed.find((topic) => !topic.split('.').some((segment) => segment === '*' || segment === '>')) ?? '';
}
