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

/** The rules about the sender of a request: `identified` finds it, and `entitled` checks its rights. */

/** The identity of a sender that no rule has identified. */
export const NOBODY = anonymous({ publicTopics: [], publicPublish: [] });

/** The identity of every sender on the operations listener. */
const OPERATOR: Identity = { ...NOBODY, mayOperate: true };

/** The credential may be only in the header `Authorization`. */
const HEADER_ONLY: CredentialPlaces = { cookie: undefined, isQueryTaken: false, isTicketTaken: false };

/** What a lookup of a credential finds: its owner, or why it is refused. */
type Found = Identity | Problem;

/** Sets `sender.identity`, by the credential of the request or without one. Refuses a credential that is not good. */
export function identified(request: RequestHead, premises: Premises, sender: Sender): Problem | undefined | Promise<Problem | undefined> {
  const { endpoint } = request;
  // The sender of a frame was identified by the handshake of its WebSocket.
  if (endpoint === undefined || sender.identity !== undefined) return undefined;
  sender.identity = identityWithoutLookup(request, endpoint);
  if (sender.identity !== undefined) return undefined;
  if (endpoint.access === 'session') {
    const problem = sessionProblem(request, premises.config);
    // DELETE /session identifies nobody: it must also delete the cookie of a session that has ended.
    if (problem !== undefined || endpoint === ENDPOINTS.endSession) return problem;
  }
  const found = lookUp(request, endpoint, premises, sender);
  return found instanceof Promise ? found.then((awaited) => settle(awaited, endpoint, premises, sender)) : settle(found, endpoint, premises, sender);
}

/** The identity of a sender whose credential, if there is one, is not read; undefined if it must be read. */
function identityWithoutLookup({ listener, headers }: RequestHead, { access: purpose }: Endpoint): Identity | undefined {
  if (listener === 'operations') return OPERATOR;
  // The signature of its body shows who sent a hook's request.
  if (purpose === 'public' || purpose === 'hook') return NOBODY;
  // The page is the same for everybody. An old cookie must not keep a browser from loading it.
  return purpose === 'index' && wantsPage(headers) ? NOBODY : undefined;
}

function lookUp(request: RequestHead, endpoint: Endpoint, { access, config }: Premises, sender: Sender): Found | Promise<Found> {
  const { access: purpose } = endpoint;
  const credential = access.ignoresCredentials(purpose) ? undefined : readCredential(request, placesOf(request, endpoint, config));
  // Load balancers ask for health, so it answers every sender. `identify` refuses none there either.
  if (credential instanceof Problem) return purpose === 'health' ? NOBODY : credential;
  if (credential === undefined) return access.identify(undefined, purpose);
  const misuse = credential.source === 'cookie' ? cookieProblem(request, config.CORS_ORIGINS) : undefined;
  return misuse ?? access.identify(credential.text, purpose, unidentifiedHolder(sender));
}

/** Sets the identity that a lookup found, or decides how to refuse the credential. */
function settle(found: Found, endpoint: Endpoint, { access, limits }: Premises, sender: Sender): Problem | undefined | Promise<Problem | undefined> {
  if (!(found instanceof Problem)) {
    sender.identity = found;
    return undefined;
  }
  if (found instanceof StreamEnded) return found;
  // Without access control the index ignores an unknown credential: it may be meant for a proxy in front.
  if (endpoint.access === 'index' && access.ignoresCredentials('messages')) {
    sender.identity = EVERYBODY;
    return undefined;
  }
  return found.code === 'invalid-credential' ? failedLogin(found, endpoint, limits, sender) : found;
}

/** The holder of a lookup: the owner of the credential is not known yet. */
function unidentifiedHolder({ address, peer }: Sender): () => Holder {
  return () => holderOf(NOBODY, address, peer);
}

/**
 * Where an endpoint accepts a credential besides the header. Cookies and URLs are for browsers, so only the endpoints that pages use accept them: messages, presence, tickets, the session, and rights.
 * A ticket opens streams only.
 */
export function placesOf({ method }: Pick<RequestHead, 'method'>, endpoint: Endpoint, { AUTH_COOKIE: cookie, AUTH_QUERY_TOKEN }: Config): CredentialPlaces {
  if (endpoint.access === 'messages' || endpoint.access === 'presence') return { cookie, isQueryTaken: AUTH_QUERY_TOKEN === 'on', isTicketTaken: endpoint.isStream === true && method === 'GET' };
  return endpoint === ENDPOINTS.session || endpoint.access === 'ticket' || endpoint.access === 'self' || endpoint.access === 'index' ? { ...HEADER_ONLY, cookie } : HEADER_ONLY;
}

/** The cookies of a logout. A browser has one, and a second one if a neighbouring host has set it. Stops one request from looking up hundreds of sessions. */
const LOGOUT_MAX_SESSIONS = 2;

/** A page whose origin is allowed only by `*` must not log its visitors out, or in with a credential of its own. */
function sessionProblem(request: RequestHead, { AUTH_COOKIE: name, CORS_ORIGINS: allowed }: Config): Problem | undefined {
  const { headers: { cookie = '', ...headers }, method } = request;
  if (name === undefined) return new Problem('not-found', 'There are no sessions here. To use them, set AUTH_COOKIE to the name of their cookie.');
  if (isSafe(method, headers)) return undefined;
  const values = cookieValues(cookie, name);
  if (request.endpoint === ENDPOINTS.endSession) {
    if (values.length > LOGOUT_MAX_SESSIONS) return repeatedCookie(name);
    return values.length === 0 ? undefined : cookieProblem(request, allowed);
  }
  // `readCredential` refuses two cookies of this name, so the new one would never count.
  if (values.length > 1) return repeatedCookie(name);
  return isForeignToCookies(headers, allowed) ? foreignToCookies() : undefined;
}

/** Counts a failed login against the sender's network, and returns 429 instead of the problem after too many. Streams keep their 401: some libraries end at 401 and come back after 429. */
export function failedLogin(problem: Problem, endpoint: Endpoint, limits: Pick<Premises['limits'], 'failedLogin'>, { address }: Pick<Sender, 'address'>): Problem | Promise<Problem> {
  const limited = limits.failedLogin(networkOf(address()));
  if (endpoint.isStream === true) return problem;
  return limited instanceof Promise ? limited.then((awaited) => awaited ?? problem) : limited ?? problem;
}

/**
 * Refuses a cookie that a foreign page made the browser send. A browser adds cookies to the requests of every page. So a cookie counts only for pages of this host and of origins that
 * CORS_ORIGINS names; `*` does not name any. A request that changes something must have the header Origin, as those of browsers do.
 */
function cookieProblem({ method, headers }: RequestHead, allowed: Origins): Problem | undefined {
  const lacksOrigin = !isSafe(method, headers) && headers.origin === undefined;
  return lacksOrigin || isForeignToCookies(headers, allowed) ? foreignToCookies() : undefined;
}

function isForeignToCookies(headers: IncomingHttpHeaders, allowed: Origins): boolean {
  return isForeignPage(headers, allowed === '*' ? [] : allowed);
}

function foreignToCookies(): Problem {
  return new Problem('cross-origin', 'A cookie counts only for pages of this host and of the origins that CORS_ORIGINS names one by one; a request that changes something must say its Origin.', { field: 'Cookie' });
}

/** The parts of a head that the check of rights reads. */
export type AskedHead = Pick<RequestHead, 'endpoint' | 'url' | 'query' | 'headers'>;

/** Checks the rights that a request needs, as far as its head tells. The topics of a batch or a stream are read later: publisher and readers check the grant. */
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

/** Whether the sender may list and close streams. */
export function maySteer(identity: Identity, request: Pick<RequestHead, 'headers'>, config: Pick<Config, 'HOST'>, address: string): boolean {
  return identity.mayAdminister || (identity === EVERYBODY && isOfThisMachine(request, config, address));
}

/** Whether the client is on this machine. Behind a proxy of this machine, every client has a loopback address; the headers that proxies add show it. */
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
  // report=1 also needs the right to see listeners. Refuse before anything is stored.
  return publishProblem(grant, [{ topic }]) ?? (wantsReport(query) ? listenersProblem(grant, new Filter([topic])) : undefined);
}

/** Whether the sender has no credential and may use no public topic. */
function isNobody({ grant }: Identity): boolean {
  return grant.isAnonymous === true && grant.isEmpty === true;
}

/** The route checks the grant for each topic, once it has read their names. */
function presenceProblem({ grant, name }: Identity): Problem | undefined {
  if (grant.seesPresence === true) return undefined;
  return name === undefined ? credentialMissing() : new Problem('forbidden', 'This request may not see who listens; it needs the grant presence.', { field: 'Authorization' });
}

/** Erasing needs a credential, even without access control. */
function erasureProblem(endpoint: Endpoint, url: string, { name, grant }: Identity): Problem | undefined {
  if (name === undefined) return new Problem('unauthorized', 'Erasing needs a credential: Authorization: Bearer with a key or token that has the grant erase.', { field: 'Authorization' });
  if (endpoint === ENDPOINTS.eraseTopic) return eraseProblem(grant, topicIn(url));
  return grant.erases === true ? undefined : new Problem('forbidden', 'This request may not erase messages; it needs the grant erase.', { field: 'Authorization' });
}

function administratorMissing(identity: Identity): Problem {
  return missing(identity, 'This needs the credential of an administrator, with the grant admin');
}

function operatorMissing(identity: Identity): Problem {
  return missing(identity, 'This needs a credential with the grant operate, or the credential of an administrator');
}

function missing({ name }: Identity, sentence: string): Problem {
  return name === undefined
    ? new Problem('unauthorized', `${sentence}: Authorization: Bearer with a key or token.`, { field: 'Authorization' })
    : new Problem('forbidden', `${sentence}.`, { field: 'Authorization' });
}

const TOPICS_PATH = '/topics/';

/** The topic in a path, as the router decodes it. */
function topicIn(url: string): string {
  // The usual form, without the cost of a regular expression.
  if (url.startsWith(TOPICS_PATH) && !url.includes('%') && !url.includes('?') && !url.includes('#')) return url.slice(TOPICS_PATH.length).split('/', 1)[0]!;
  return decodeURIComponent(/^(?:[a-z]+:\/\/[^/]*)?\/topics\/([^/?#]*)/i.exec(url)?.[1] ?? '');
}
