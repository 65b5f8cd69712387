import type { Access } from '../../access/access.ts';
import type { Identity } from '../../access/credentials/identity.ts';
import type { Config } from '../../config/config.ts';
import { presenceProblem, readProblem, type Grant } from '../../model/grant.ts';
import { Problem } from '../../model/problem.ts';
import { checkLiteral, checkTopic, checkWish, Filter } from '../../model/topic.ts';
import { entitled, placesOf, type AskedHead } from './access-rules.ts';
import { ENDPOINTS, type Endpoint } from './endpoints.ts';
import type { Sender } from './rule.ts';

/** Answers `GET /access`: which rights a sender has, before it makes a request. It asks the rules of admission and the grants, so the answers are those that the request would get. */

/** The actions that a client may ask about: each with the endpoint of its request, and with the check of its topic if it has one. */
const ACTIONS = {
  publish: { endpoint: ENDPOINTS.publish, check: checkTopic },
  read: { endpoint: ENDPOINTS.streamTopic, check: checkWish },
  erase: { endpoint: ENDPOINTS.eraseTopic, check: checkLiteral },
  presence: { endpoint: ENDPOINTS.topicPresence, check: checkWish },
  operate: { endpoint: ENDPOINTS.metrics },
  streams: { endpoint: ENDPOINTS.listStreams },
  administer: { endpoint: ENDPOINTS.listKeys },
} as const satisfies Record<string, { readonly endpoint: Endpoint; readonly check?: (topic: string) => string }>;

export type Action = keyof typeof ACTIONS;
export const ACTION_NAMES = Object.keys(ACTIONS) as readonly Action[];

/** An action that a client asks about. */
export interface Wish {
  readonly action: Action;
  /** The topic, if the action needs one. */
  readonly topic: string | undefined;
}

/** The sender that would act, and its address. */
export interface Asker {
  readonly identity: Identity;
  readonly headers: AskedHead['headers'];
  readonly address: Sender['address'];
}

/** The action in the query; undefined for all actions. @throws Problem `invalid-request`, `invalid-topic` */
export function readWish({ action, topic }: { readonly action?: string; readonly topic?: string }): Wish | undefined {
  if (action === undefined) {
    if (topic !== undefined) throw new Problem('invalid-request', 'topic needs the parameter action, too, such as action=read.', { field: 'action' });
    return undefined;
  }
  const known = ACTION_NAMES.find((name) => name === action);
  if (known === undefined) throw new Problem('invalid-request', `action must be one of ${ACTION_NAMES.join(', ')}.`, { field: 'action' });
  const wanted = ACTIONS[known];
  const check = 'check' in wanted ? wanted.check : undefined;
  if (check === undefined && topic !== undefined) throw new Problem('invalid-topic', `The action ${action} has no topic.`, { field: 'topic' });
  if (check !== undefined && topic === undefined) throw new Problem('invalid-topic', 'topic is missing.', { field: 'topic' });
  return { action: known, topic: topic === undefined ? undefined : check?.(topic) };
}

export interface EntitlementDependencies {
  readonly config: Config;
  readonly access: Pick<Access, 'identify' | 'ignoresCredentials'>;
}

export class Entitlement {
  readonly #config: Config;
  readonly #access: EntitlementDependencies['access'];

  constructor({ config, access }: EntitlementDependencies) {
    this.#config = config;
    this.#access = access;
  }

  /** The problem that the request of an action would get; undefined if it is allowed. */
  async problem(asker: Asker, { action, topic }: Wish): Promise<Problem | undefined> {
    const { endpoint } = ACTIONS[action];
    const identity = await this.#identityAt(endpoint, asker);
    if (identity instanceof Problem) return identity;
    const url = topic === undefined ? endpoint.url : endpoint.url.replace(':topic', encodeURIComponent(topic));
    const problem = entitled({ endpoint, url, query: {}, headers: asker.headers }, { config: this.#config }, { identity, address: asker.address });
    if (problem !== undefined || topic === undefined) return problem;
    // Streams and presence check the grant after admission.
    if (action === 'read') return readProblem(identity.grant, new Filter([topic]));
    return action === 'presence' ? presenceProblem(identity.grant, new Filter([topic])) : undefined;
  }

  async may(asker: Asker, action: Action): Promise<boolean> {
    return await this.problem(asker, { action, topic: undefined }) === undefined;
  }

  /** The grant for the topics of an action. */
  async grant(asker: Asker, action: Action): Promise<Grant | undefined> {
    const identity = await this.#identityAt(ACTIONS[action].endpoint, asker);
    return identity instanceof Problem ? undefined : identity.grant;
  }

  /** The identity that the sender would have at an endpoint. Without access control, credentials are ignored. An endpoint may also refuse cookies. */
  async #identityAt(endpoint: Endpoint, { identity }: Asker): Promise<Identity | Problem> {
    const isIgnoredCookie = identity.credential?.session !== undefined && placesOf({ method: 'GET' }, endpoint, this.#config).cookie === undefined;
    return isIgnoredCookie || this.#access.ignoresCredentials(endpoint.access) ? this.#access.identify(undefined, endpoint.access) : identity;
  }
}
