import { anonymous, type Identity } from '../access/identity.ts';
import type { Origins } from '../config/origins.ts';
import { publishProblem } from '../model/grant.ts';
import { Problem } from '../model/problem.ts';
import { networkOf } from './client-address.ts';
import { ENDPOINTS, type Endpoint } from './endpoints.ts';
import { readCredential } from './input/credential.ts';
import { isForeignPage, isSafe } from './origin.ts';
import type { RequestHead } from './request-head.ts';
import type { Premises, Sender } from './rule.ts';

/** The rules about who sends a request, and what they may do. */

/** Whom no rule has identified. */
export const NOBODY = anonymous({ publicTopics: [], publicPublish: [] });

const HEADER_ONLY = { cookie: undefined, isQueryTaken: false } as const;

/**
 * Who sends the request: by its credential, or as one of those who have none. Health is told to everybody, whatever they send: load balancers go by it.
 */
export function identified(request: RequestHead, { access, config, limits }: Premises, sender: Sender): Problem | undefined | Promise<Problem | undefined> {
  const purpose = request.endpoint?.access;
  if (purpose === undefined) return undefined;
  const take = (identity: Identity | Problem): Problem | undefined | Promise<Problem | undefined> => {
    if (identity instanceof Problem) return identity.code === 'invalid-credential' ? failedLogin(identity, limits, sender) : identity;
    sender.identity = identity;
    return undefined;
  };
  // Cookies and URLs are for browsers, which read messages.
  const places = purpose === 'messages' ? { cookie: config.AUTH_COOKIE, isQueryTaken: config.AUTH_QUERY_TOKEN === 'on' } : HEADER_ONLY;
  const credential = access.ignoresCredentials(purpose) ? undefined : readCredential(request, places);
  if (credential instanceof Problem) return purpose === 'health' ? undefined : take(credential);
  const misused = credential?.source === 'cookie' ? cookieProblem(request, config.CORS_ORIGINS) : undefined;
  const found = misused ?? access.identify(credential?.text, purpose);
  return found instanceof Promise ? found.then(take) : take(found);
}

/** Who has failed too often is told so. A good credential never comes here. */
function failedLogin(problem: Problem, limits: Premises['limits'], { address }: Sender): Problem | Promise<Problem> {
  const limited = limits.failedLogin(networkOf(address()));
  return limited instanceof Promise ? limited.then((awaited) => awaited ?? problem) : limited ?? problem;
}

/**
 * A browser sends a cookie by itself, whichever page asks. So a cookie counts for pages of this host and of named origins, and not for pages that only `*` lets in. A request
 * that changes something has to say its origin, as browsers do.
 */
function cookieProblem({ method, headers }: RequestHead, allowed: Origins): Problem | undefined {
  const isUnsaid = !isSafe(method, headers) && headers.origin === undefined;
  if (!isUnsaid && !isForeignPage(headers, allowed === '*' ? [] : allowed)) return undefined;
  return new Problem('cross-origin', 'A cookie counts only for pages of this host and of the origins that CORS_ORIGINS names one by one; a request that changes something must say its Origin.', { field: 'Cookie' });
}

/** What can be said before the body. Of a batch, and of what is read, the topics are learnt later: publisher and readers ask the grant. */
export function entitled({ endpoint, url }: RequestHead, _premises: Premises, { identity = NOBODY }: Sender): Problem | undefined {
  switch (endpoint?.access) {
    case undefined: case 'health': return undefined;
    case 'administration': return identity.mayAdminister ? undefined : administratorMissing(identity);
    case 'operations': return identity.mayOperate ? undefined : administratorMissing(identity);
    case 'messages': return messagesProblem(endpoint, url, identity);
  }
}

function messagesProblem(endpoint: Endpoint, url: string, { grant }: Identity): Problem | undefined {
  if (grant.isAnonymous === true && grant.isEmpty === true) return new Problem('unauthorized', 'This takes a credential: Authorization: Bearer with a key or token.', { field: 'Authorization' });
  return endpoint === ENDPOINTS.publish ? publishProblem(grant, [{ topic: topicIn(url) }]) : undefined;
}

function administratorMissing({ name }: Identity): Problem {
  return name === undefined
    ? new Problem('unauthorized', 'This takes the credential of an administrator: Authorization: Bearer with a key or token.', { field: 'Authorization' })
    : new Problem('forbidden', 'This takes the credential of an administrator.', { field: 'Authorization' });
}

/** The topic in a path, as the router decodes it. */
function topicIn(url: string): string {
  return decodeURIComponent(/^(?:[a-z]+:\/\/[^/]*)?\/topics\/([^/?#]*)/i.exec(url)?.[1] ?? '');
}
