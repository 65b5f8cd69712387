import { anonymous, type Identity } from '../access/identity.ts';
import type { Origins } from '../config/origins.ts';
import { eraseProblem, publishProblem } from '../model/grant.ts';
import { Problem } from '../model/problem.ts';
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
export function identified(request: RequestHead, { access, config }: Premises, sender: Sender): Problem | undefined | Promise<Problem | undefined> {
  const purpose = request.endpoint?.access;
  if (purpose === undefined) return undefined;
  const take = (identity: Identity | Problem): Problem | undefined => {
    if (identity instanceof Problem) return identity;
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
    case 'erasure': return identity.grant.erases === true ? undefined : erasureProblem(endpoint, url, identity);
    case 'messages': return messagesProblem(endpoint, url, identity);
  }
}

function messagesProblem(endpoint: Endpoint, url: string, { grant }: Identity): Problem | undefined {
  if (grant.isAnonymous === true && grant.isEmpty === true) return new Problem('unauthorized', 'This takes a credential: Authorization: Bearer with a key or token.', { field: 'Authorization' });
  return endpoint === ENDPOINTS.publish ? publishProblem(grant, [{ topic: topicIn(url) }]) : undefined;
}

/** To erase takes a credential, also where nothing else does. */
function erasureProblem(endpoint: Endpoint, url: string, { name, grant }: Identity): Problem | undefined {
  if (name === undefined) return new Problem('unauthorized', 'To erase messages takes a credential: Authorization: Bearer with a key or token that may.', { field: 'Authorization' });
  return endpoint === ENDPOINTS.eraseTopic ? eraseProblem(grant, topicIn(url)) : new Problem('forbidden', 'This request may not erase messages.', { field: 'Authorization' });
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
