import type { IncomingHttpHeaders } from 'node:http';
import { anonymous, EVERYBODY, type Identity } from '../../access/credentials/identity.ts';
import type { Config } from '../../config/config.ts';
import { isLoopback } from '../../config/loopback.ts';
import type { Origins } from '../../config/origins.ts';
import { eraseProblem, presenceProblem as listenersProblem, publishProblem } from '../../model/grant.ts';
import { Problem, StreamEnded } from '../../model/problem.ts';
import { Filter } from '../../model/topic.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import { networkOf } from './client-address.ts';
import { holderOf } from './holder.ts';
import { ENDPOINTS, type Endpoint } from './endpoints.ts';
import { cookieValues, readCredential, repeatedCookie, type CredentialPlaces } from '../input/credential.ts';
import { wantsReport } from '../input/stream-switches.ts';
import { wantsPage } from '../input/wants-page.ts';
import { isForeignPage, isSafe } from './origin.ts';
import type { RequestHead } from './request-head.ts';
import type { Premises, Sender } from './rule.ts';

/** The rules about who sends a request, and which rights they have. */

/** The identity of a sender that no rule has identified. */
export const NOBODY = anonymous({ publicTopics: [], publicPublish: [] });

/** The identity of everybody who reaches the listener for operations. */
const OPERATOR: Identity = { ...NOBODY, mayOperate: true };

const HEADER_ONLY: CredentialPlaces = { cookie: undefined, isQueryTaken: false, isTicketTaken: false };

/**
 * Finds the sender of a request by its credential, or as a sender without one. Health answers every sender, because load balancers go by it.
 */
export function identified(request: RequestHead, { access, config, limits }: Premises, sender: Sender): Problem | undefined | Promise<Problem | undefined> {
  const { endpoint } = request;
  // The handshake of an open WebSocket has identified the sender of its frames.
  if (endpoint === undefined || sender.identity !== undefined) return undefined;
  if (request.listener === 'operations') {
    sender.identity = OPERATOR;
    return undefined;
  }
  const purpose = endpoint.access;
  // The page itself is the same for everybody; a cookie that is no longer good must not keep it away.
  // A signature of the body shows who sends to a hook.
  if (purpose === 'public' || purpose === 'hook' || (purpose === 'index' && wantsPage(request.headers))) {
    sender.identity = NOBODY;
    return undefined;
  }
  if (purpose === 'session') {
    const problem = sessionProblem(request, config);
    // The end of a session needs no identity: a cookie that is no longer good has to go away, too.
    if (problem !== undefined || endpoint === ENDPOINTS.endSession) return problem;
  }
  const take = (identity: Identity | Problem): Problem | undefined | Promise<Problem | undefined> => {
    if (identity instanceof StreamEnded) return identity;
    // The credential may be that of a proxy in front.
    if (identity instanceof Problem && purpose === 'index' && access.ignoresCredentials('messages')) {
      sender.identity = EVERYBODY;
      return undefined;
    }
    if (identity instanceof Problem) return identity.code === 'invalid-credential' ? failedLogin(identity, endpoint, limits, sender) : identity;
    sender.identity = identity;
    return undefined;
  };
  const credential = access.ignoresCredentials(purpose) ? undefined : readCredential(request, placesOf(request, endpoint, config));
  if (credential instanceof Problem) return purpose === 'health' ? undefined : take(credential);
  const misused = credential?.source === 'cookie' ? cookieProblem(request, config.CORS_ORIGINS) : undefined;
  const found = misused ?? (credential === undefined ? access.identify(undefined, purpose) : access.identify(credential.text, purpose, askedBy(sender)));
  return found instanceof Promise ? found.then(take) : take(found);
}

/** The holder of a question about a credential, whose owner is not known yet. */
function askedBy({ address, peer }: Sender): () => Holder {
  return () => holderOf(NOBODY, address, peer);
}

/** Cookies and URLs are for browsers, which read messages, ask for tickets, and ask about their session and their rights. The page itself makes a session. Only requests that open a stream use a ticket. */
export function placesOf({ method }: Pick<RequestHead, 'method'>, endpoint: Endpoint, { AUTH_COOKIE: cookie, AUTH_QUERY_TOKEN }: Config): CredentialPlaces {
  if (endpoint.access === 'messages' || endpoint.access === 'presence') return { cookie, isQueryTaken: AUTH_QUERY_TOKEN === 'on', isTicketTaken: endpoint.isStream === true && method === 'GET' };
  return endpoint === ENDPOINTS.session || endpoint.access === 'ticket' || endpoint.access === 'self' || endpoint.access === 'index' ? { ...HEADER_ONLY, cookie } : HEADER_ONLY;
}

/** The cookies of a logout: a browser has one, and another where a neighbouring host has planted one. Stops one request from looking up hundreds of sessions. */
const LOGOUT_MAX_SESSIONS = 2;

/** No page of an origin that only `*` lets in may log its visitors in, to somebody else's topics, or out. */
function sessionProblem(request: RequestHead, { AUTH_COOKIE: name, CORS_ORIGINS: allowed }: Config): Problem | undefined {
  const { headers: { cookie = '', ...headers }, method } = request;
  if (name === undefined) return new Problem('not-found', 'There are no sessions here: the setting AUTH_COOKIE, which names their cookie, is not set.');
  if (isSafe(method, headers)) return undefined;
  const values = cookieValues(cookie, name);
  if (request.endpoint === ENDPOINTS.endSession) {
    if (values.length > LOGOUT_MAX_SESSIONS) return repeatedCookie(name);
    return values.length === 0 ? undefined : cookieProblem(request, allowed);
  }
  // The new cookie would be one of two, and not count.
  if (values.length > 1) return repeatedCookie(name);
  return isForeignToCookies(headers, allowed) ? foreignToCookies() : undefined;
}

/** Tells a sender that it has failed too often. A good credential never comes here. A stream gets its 401 nevertheless: libraries that end at 401 come back after 429. */
export function failedLogin(problem: Problem, endpoint: Endpoint, limits: Pick<Premises['limits'], 'failedLogin'>, { address }: Pick<Sender, 'address'>): Problem | Promise<Problem> {
  const limited = limits.failedLogin(networkOf(address()));
  if (endpoint.isStream === true) return problem;
  return limited instanceof Promise ? limited.then((awaited) => awaited ?? problem) : limited ?? problem;
}

/**
 * A browser sends a cookie by itself, whichever page asks. So a cookie counts for pages of this host and of named origins, and not for pages that only `*` lets in. A request
 * that changes something has to say its origin, as browsers do.
 */
function cookieProblem({ method, headers }: RequestHead, allowed: Origins): Problem | undefined {
  const isUnsaid = !isSafe(method, headers) && headers.origin === undefined;
  return isUnsaid || isForeignToCookies(headers, allowed) ? foreignToCookies() : undefined;
}

function isForeignToCookies(headers: IncomingHttpHeaders, allowed: Origins): boolean {
  return isForeignPage(headers, allowed === '*' ? [] : allowed);
}

function foreignToCookies(): Problem {
  return new Problem('cross-origin', 'A cookie counts only for pages of this host and of the origins that CORS_ORIGINS names one by one; a request that changes something must say its Origin.', { field: 'Cookie' });
}

/** The parts of a head that tell what the request is for. */
export type AskedHead = Pick<RequestHead, 'endpoint' | 'url' | 'query' | 'headers'>;

/** The decisions that are possible before the body. The topics of a batch or a stream are learnt later: publisher and readers ask the grant. */
export function entitled(request: AskedHead, { config }: Pick<Premises, 'config'>, { identity = NOBODY, address }: Pick<Sender, 'identity' | 'address'>): Problem | undefined {
  const { endpoint, url } = request;
  switch (endpoint?.access) {
    case undefined: case 'health': case 'public': case 'index': case 'hook': return undefined;
    case 'administration': return identity.mayAdminister ? undefined : administratorMissing(identity);
    case 'fleet': return maySteer(identity, request, config, address()) ? undefined : administratorMissing(identity);
    case 'operations': return identity.mayOperate ? undefined : operatorMissing(identity);
    case 'erasure': return erasureProblem(endpoint, url, identity);
    case 'messages': return messagesProblem(request, endpoint, identity);
    case 'presence': return presenceProblem(identity);
    case 'self': return isNobody(identity) ? credentialMissing() : undefined;
    case 'ticket': return identity.origin === undefined ? credentialMissing() : undefined;
    case 'session': return endpoint === ENDPOINTS.endSession || identity.origin !== undefined ? undefined : credentialMissing();
  }
}

/** Whether streams may be listed and closed. */
export function maySteer(identity: Identity, request: Pick<RequestHead, 'headers'>, config: Pick<Config, 'HOST'>, address: string): boolean {
  return identity.mayAdminister || (identity === EVERYBODY && isOfThisMachine(request, config, address));
}

/** Behind a proxy of the same machine, every client seems to be here. Proxies say that they are there. */
function isOfThisMachine({ headers }: Pick<RequestHead, 'headers'>, { HOST }: Pick<Config, 'HOST'>, address: string): boolean {
  return isLoopback(HOST) && isLoopback(address) && headers['x-forwarded-for'] === undefined && headers.forwarded === undefined;
}

function credentialMissing(): Problem {
  return new Problem('unauthorized', 'This takes a credential: Authorization: Bearer with a key or token.', { field: 'Authorization' });
}

function messagesProblem({ url, query }: AskedHead, endpoint: Endpoint, identity: Identity): Problem | undefined {
  const { grant, credential } = identity;
  const isMissing = endpoint === ENDPOINTS.renewStream ? credential === undefined : isNobody(identity);
  if (isMissing) return credentialMissing();
  if (endpoint !== ENDPOINTS.publish) return undefined;
  const topic = topicIn(url);
  // A sender that asks for listeners without the right to see them stores nothing.
  return publishProblem(grant, [{ topic }]) ?? (wantsReport(query) ? listenersProblem(grant, new Filter([topic])) : undefined);
}

/** Whether the sender has no credential, and nothing is public. */
function isNobody({ grant }: Identity): boolean {
  return grant.isAnonymous === true && grant.isEmpty === true;
}

/** The route asks the grant about single topics, once it has read their names. */
function presenceProblem({ grant, name }: Identity): Problem | undefined {
  if (grant.seesPresence === true) return undefined;
  return name === undefined ? credentialMissing() : new Problem('forbidden', 'This request may not see who listens: that takes the grant presence.', { field: 'Authorization' });
}

/** To erase takes a credential, also where nothing else does. */
function erasureProblem(endpoint: Endpoint, url: string, { name, grant }: Identity): Problem | undefined {
  if (name === undefined) return new Problem('unauthorized', 'To erase messages takes a credential: Authorization: Bearer with a key or token that may.', { field: 'Authorization' });
  if (endpoint === ENDPOINTS.eraseTopic) return eraseProblem(grant, topicIn(url));
  return grant.erases === true ? undefined : new Problem('forbidden', 'This request may not erase messages: that takes the grant erase.', { field: 'Authorization' });
}

function administratorMissing(identity: Identity): Problem {
  return missing(identity, 'This takes the credential of an administrator, with the grant admin');
}

function operatorMissing(identity: Identity): Problem {
  return missing(identity, 'This takes a credential with the grant operate, or the credential of an administrator');
}

function missing({ name }: Identity, sentence: string): Problem {
  return name === undefined
    ? new Problem('unauthorized', `${sentence}: Authorization: Bearer with a key or token.`, { field: 'Authorization' })
    : new Problem('forbidden', `${sentence}.`, { field: 'Authorization' });
}

const TOPICS_PATH = '/topics/';

/** The topic in a path, as the router decodes it. */
function topicIn(url: string): string {
  // The usual form: a regular expression costs more than most rules.
  if (url.startsWith(TOPICS_PATH) && !url.includes('%') && !url.includes('?') && !url.includes('#')) return url.slice(TOPICS_PATH.length).split('/', 1)[0]!;
  return decodeURIComponent(/^(?:[a-z]+:\/\/[^/]*)?\/topics\/([^/?#]*)/i.exec(url)?.[1] ?? '');
}
