import Negotiator from 'negotiator';
import type { Config } from '../../config/config.ts';
import type { Identity } from '../../access/credentials/identity.ts';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import { isLoopback } from '../../config/loopback.ts';
import type { Origins } from '../../config/origins.ts';
import type { Member } from '../../presence/member.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { entitled, identified, NOBODY } from './access-rules.ts';
import { bodyLength, contentHeaders, expectation, lengthMissing } from './body-rules.ts';
import { clientAddress } from './client-address.ts';
import { ENDPOINTS, isForOperators, type Endpoint } from './endpoints.ts';
import { readMember } from '../input/member-query.ts';
import { meantPaths } from '../input/meant-path.ts';
import { headerNamedBy, NAMING_PARAMETERS } from '../input/named-header.ts';
import { nearParameter } from '../input/near-parameter.ts';
import { malformedQuery } from '../input/query-string.ts';
import { commonHeaders, foreignPageDetail, isForeignPage, isPreflight, isSafe } from './origin.ts';
import { holderOf } from './holder.ts';
import { isAddressHost, isAllowedHost } from './host.ts';
import { KeptOut, shown } from './kept-out.ts';
import { withinLimits } from './limited-sender.ts';
import type { Peer, RequestHead } from './request-head.ts';
import type { Premises, Rule, Sender } from './rule.ts';
import { URL_MAX_BYTES } from './server-limits.ts';
import { asksForWebSocket, wrongHandshakeHeader } from './upgrade.ts';

/**
 * The door policy: everything that a request's head decides about whether it is served. Both edges ask `admit` once for each request, before its body.
 * Every rule is in `RULES`, also those of access-rules.ts, limited-sender.ts and body-rules.ts: a rule that only one edge knows is a hole in the other.
 */

/** The decision about a request. */
export interface Admission {
  readonly identity: Identity;
  /** The headers of every answer to the request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Why the request is not served; undefined where it is. */
  readonly refusal: Error | undefined;
  /** The request only asks which requests a page may send: its answer is these headers. */
  readonly isPreflight: boolean;
  /** A stream cannot begin now: it is answered with `$busy`, because an error would end a browser's EventSource for good. */
  readonly isBusy: boolean;
  /** The member that is present on the topics of a stream; undefined for nobody in particular. */
  readonly member: Member | undefined;
  /** Where the request comes from, for limits and log lines. */
  readonly clientAddress: () => string;
  /** The holder on whom the memory of the request is counted. */
  readonly holder: () => Holder;
}

/** All rules, in the order in which they are asked. The first objection counts. */
export const RULES: readonly Rule[] = [
  urlLength, fragment, hostMissing, repeatedHeader, unknownHost, otherListener, pathOrMethod, foreignPage, handshake, identified, entitled, queryEncoding, repeatedParameter, mistakenParameter, membership, expectation, drain, lengthMissing, contentHeaders, accepted, bodyLength, withinLimits,
];

export class AdmissionPolicy {
  readonly #counters: Pick<Counters, 'turnAway'>;
  readonly #premises: Premises;
  readonly #rules: readonly Rule[];
  readonly #keptOut: KeptOut;

  constructor(premises: Premises & { readonly logger: Pick<Logger, 'info'>; readonly counters: Pick<Counters, 'turnAway'> }, rules: readonly Rule[] = RULES) {
    this.#premises = premises;
    this.#counters = premises.counters;
    this.#keptOut = new KeptOut(premises.logger);
    this.#rules = rules;
  }

  /** Decides whether a request is served. It neither throws nor rejects: an error of a rule is a refusal. */
  admit(request: RequestHead, peer: Peer): Admission | Promise<Admission> {
    return this.#ask(request, { identity: undefined, address: () => clientAddress(request.headers, peer, this.#premises.config.TRUST_PROXY), peer }, 0);
  }

  /** Decides about the request that a frame of an open WebSocket stands for. The handshake has identified its sender. */
  admitFrame(request: RequestHead, sender: Sender & { readonly identity: Identity }): Admission | Promise<Admission> {
    return this.#ask(request, sender, 0);
  }

  #ask(request: RequestHead, sender: Sender, from: number): Admission | Promise<Admission> {
    try {
      for (let index = from; index < this.#rules.length; index++) {
        const objection = this.#rules[index]!(request, this.#premises, sender);
        if (objection instanceof Promise) {
          return objection.then(
            (awaited) => awaited === undefined ? this.#ask(request, sender, index + 1) : this.#decided(request, sender, awaited),
            (error: unknown) => this.#decided(request, sender, asError(error)),
          );
        }
        if (objection !== undefined) return this.#decided(request, sender, objection);
      }
    } catch (error) {
      return this.#decided(request, sender, asError(error));
    }
    return this.#decided(request, sender, undefined);
  }

  #decided(request: RequestHead, { identity = NOBODY, member, address: client, peer }: Sender, objection: Error | undefined): Admission {
    const { config } = this.#premises;
    const origins = allowedOrigins(request, config);
    const code = objection instanceof Problem ? objection.code : undefined;
    if (objection !== undefined) this.#counters.turnAway(code ?? 'internal');
    if (code === 'unknown-host') this.#keptOut.host(request, client);
    else if (objection !== undefined && isForAdministrators(request.endpoint) && (code === 'forbidden' || code === 'unauthorized')) this.#keptOut.administration(request, identity.name, client);
    else if (code === 'invalid-credential') this.#keptOut.credential(reasonOf(objection!), request, client);
    else if (code === 'cross-origin' || (request.headers.origin !== undefined && isForeignPage(request.headers, origins))) this.#keptOut.page(request, client);
    const isBusy = objection instanceof Problem && objection.status === 503 && request.endpoint?.isStream === true;
    const preflight = objection === undefined && isPreflight(request, origins);
    return {
      identity,
      member,
      headers: commonHeaders(request.headers, origins, preflight),
      refusal: isBusy ? undefined : objection,
      isPreflight: preflight,
      isBusy,
      clientAddress: client,
      holder: () => holderOf(identity, client, peer),
    };
  }
}

function isForAdministrators(endpoint: Endpoint | undefined): boolean {
  return endpoint?.access === 'administration' || endpoint?.access === 'fleet';
}

/** For the operator's log: the client is not told this. */
function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function urlLength({ url }: RequestHead): Problem | undefined {
  return url.length > URL_MAX_BYTES ? new Problem('uri-too-long', `The URL is longer than ${URL_MAX_BYTES} bytes.`) : undefined;
}

/** No client sends a fragment (RFC 9112, section 3.2). Some proxies end the path there, others pass it on: they would disagree with the router about the requested resource. */
function fragment({ url }: RequestHead): Problem | undefined {
  return url.includes('#') ? new Problem('invalid-request', 'The URL has a fragment; a # in a path or a query is written %23.') : undefined;
}

/** RFC 9112, section 3.2. Node would answer this by itself, without a body. */
function hostMissing({ headers, httpVersion }: RequestHead): Problem | undefined {
  return headers.host === undefined && httpVersion === '1.1' ? new Problem('invalid-request', 'The Host header is missing.', { field: 'Host' }) : undefined;
}

/**
 * A page can give its own host name the address of this machine (DNS rebinding). To the browser it then is a page of this service, and may read everything. So an instance that only this
 * machine reaches answers only to names that no page can have. Without a Host header (HTTP/1.0) it is no browser that asks.
 * So does the listener for operations, which takes no credential wherever it listens; on a network it is asked by addresses.
 */
function unknownHost({ listener, url, headers: { host } }: RequestHead, { config: { ALLOWED_HOSTS, HOST, OPS_HOST } }: Premises): Problem | undefined {
  const allowed = ALLOWED_HOSTS ?? (listener === 'operations' || isLoopback(HOST) ? NO_HOSTS : '*');
  // Nearly all requests.
  if (host !== undefined && url.startsWith('/') && isAllowedHost(host, allowed)) return undefined;
  const isAddressTaken = listener === 'operations' && !isLoopback(OPS_HOST);
  // A URL with a host goes before the header (RFC 9112, section 3.2.2).
  const other = [host, url.startsWith('/') ? undefined : /^[a-z]+:\/\/([^/?#]*)/i.exec(url)?.[1]].find((one) => one !== undefined && !isAllowedHost(one, allowed) && !(isAddressTaken && isAddressHost(one)));
  return other === undefined ? undefined : new Problem('unknown-host', `This instance does not answer to the host name ${JSON.stringify(shown(other))}: behind a proxy, or under a name of its own, the setting ALLOWED_HOSTS has to name it.`, { field: 'Host' });
}

const NO_HOSTS: readonly string[] = [];

/** Headers that may come once, by their names in lower case. With two of them, parsers disagree about which one counts. */
const ONCE: ReadonlyMap<string, readonly [name: string, code: ProblemCode]> = new Map([
  ['host', ['Host', 'invalid-request']],
  ['origin', ['Origin', 'invalid-request']],
  ['sec-fetch-site', ['Sec-Fetch-Site', 'invalid-request']],
  ['authorization', ['Authorization', 'invalid-request']],
  ['content-type', ['Content-Type', 'invalid-request']],
  ['idempotency-key', ['Idempotency-Key', 'invalid-key']],
  ['tidings-event', ['Tidings-Event', 'invalid-event']],
  ['ttl', ['TTL', 'invalid-ttl']],
]);

function repeatedHeader({ repeated, endpoint, query }: RequestHead): Problem | undefined {
  if (repeated.length === 0) return undefined;
  for (const header of repeated) {
    const [name, code] = ONCE.get(header) ?? [];
    if (name !== undefined) return new Problem(code!, `The header ${name} was given more than once.`, { field: name });
  }
  for (const naming of NAMING_PARAMETERS) {
    if (endpoint?.once.includes(naming.parameter) !== true || Array.isArray(query[naming.parameter])) continue;
    const name = headerNamedBy(query, naming);
    if (name !== undefined && repeated.includes(name)) return new Problem(naming.code, `The header ${name}, which ${naming.parameter} names, was given more than once.`, { field: naming.parameter });
  }
  return undefined;
}

/** Paths of the listener for operations. */
const OPERATIONS_PATHS: readonly string[] = Object.values<Endpoint>(ENDPOINTS).filter(isForOperators).map(({ url }) => url.replace(/:(\w+)/g, '{$1}'));
const IS_OPERATIONS_PATH = new RegExp(`^(?:${OPERATIONS_PATHS.map((path) => path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')).join('|')})$`);

/** The listener for operations takes no credential, so it has no route that must take one. */
function otherListener({ listener, endpoint, url }: RequestHead): Problem | undefined {
  if (listener === 'main' || (endpoint === undefined ? IS_OPERATIONS_PATH.test(url.split('?', 1)[0]!) : isForOperators(endpoint))) return undefined;
  return new Problem('not-found', `This port has ${OPERATIONS_PATHS.join(', ')}, and nothing else.`);
}

function pathOrMethod(request: RequestHead, { config }: Premises): Problem | undefined {
  if (request.endpoint !== undefined) return undefined;
  if (!isEncoded(request.url.split('?', 1)[0]!)) return new Problem('invalid-request', 'The path of the URL is not percent-encoded UTF-8.');
  if (isPreflight(request, allowedOrigins(request, config))) return undefined;
  const allow = request.allowedMethods();
  if (allow.length === 0) {
    const meant = meantPaths(request.url.split('?', 1)[0]!).find((path) => request.allowedMethods(path).includes(request.method));
    return new Problem('not-found', meant === undefined ? 'There is nothing at this path. POST /topics/{topic} publishes, GET /topics/{topic}/events listens; /openapi.json lists everything.' : `There is nothing at this path; ${meant} may be meant.`);
  }
  return new Problem('method-not-allowed', `${request.method} is not possible here; ${allow.join(' and ')} ${allow.length === 1 ? 'is' : 'are'}.`, { allow });
}

function isEncoded(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

function queryEncoding({ query }: RequestHead): Problem | undefined {
  const malformed = malformedQuery(query);
  return malformed === undefined ? undefined : new Problem('invalid-request', `The parameter ${malformed} is not percent-encoded UTF-8.`, { field: malformed });
}

function repeatedParameter({ endpoint, query }: RequestHead): Problem | undefined {
  let name: string | undefined;
  for (const given in query) if (Array.isArray(query[given]) && endpoint?.once.includes(given) === true) name ??= given;
  return name === undefined ? undefined : new Problem('invalid-request', `${name} was given more than once.`, { field: name });
}

/** Without this error, the answer would silently lack the effect of the misspelt name. */
function mistakenParameter({ endpoint, query }: RequestHead): Problem | undefined {
  if (endpoint === undefined) return undefined;
  const near = nearParameter(query, endpoint);
  if (near !== undefined) return new Problem('invalid-request', `The parameter ${JSON.stringify(near.given)} is unknown here; use ${near.meant}.`, { field: near.given });
  if (query['topic'] === undefined || !endpoint.url.startsWith('/topics/') || endpoint.body !== undefined) return undefined;
  return new Problem('invalid-request', 'The path names the topic here; /events and /messages take several, each as topic.', { field: 'topic' });
}

/** The member that listens on a stream. */
function membership({ endpoint, query }: RequestHead, _premises: Premises, sender: Sender): Problem | undefined {
  if (endpoint?.isStream !== true) return undefined;
  sender.member = readMember(query, sender.identity ?? NOBODY);
  return query['presence'] === '1' && query['control'] === '0' ? new Problem('invalid-request', 'presence is told by control events, which control=0 leaves out.', { field: 'presence' }) : undefined;
}

/** No page reads what the listener for operations tells without a credential. */
function allowedOrigins({ listener }: RequestHead, { CORS_ORIGINS }: Config): Origins {
  return listener === 'operations' ? NO_ORIGINS : CORS_ORIGINS;
}

const NO_ORIGINS: Origins = [];

function foreignPage(request: RequestHead, { config }: Premises): Problem | undefined {
  const { method, headers } = request;
  if (isSafe(method, headers) || !isForeignPage(headers, allowedOrigins(request, config))) return undefined;
  return new Problem('cross-origin', foreignPageDetail(headers), { field: headers.origin === undefined ? 'Sec-Fetch-Site' : 'Origin' });
}

/** The handshake of a WebSocket (RFC 6455, section 4.2.1). */
function handshake(request: RequestHead): Problem | undefined {
  if (request.endpoint?.isStream !== true || !asksForWebSocket(request)) return undefined;
  const wrong = wrongHandshakeHeader(request);
  return wrong === undefined ? undefined : new Problem('invalid-request', `The handshake of a WebSocket is not valid: ${wrong.field}: ${wrong.why}.`, { field: wrong.field });
}

/** A draining instance still takes publishes, and answers what reads; only streams would not last. */
function drain({ endpoint }: RequestHead, { draining }: Premises): Problem | undefined {
  return draining && endpoint?.isStream === true ? new Problem('unavailable', 'This instance is about to end.') : undefined;
}

const EVENT_STREAM = 'text/event-stream';
/** Values of `Accept` that need no second look. */
const PLAIN_ACCEPT: readonly (string | undefined)[] = [undefined, '', EVENT_STREAM, '*/*'];

/** RFC 9110, section 12.5.1. */
function accepted(request: RequestHead): Problem | undefined {
  const { endpoint, headers } = request;
  if (endpoint?.isStream !== true || PLAIN_ACCEPT.includes(headers.accept) || asksForWebSocket(request)) return undefined;
  if (new Negotiator({ headers }).mediaType([EVENT_STREAM]) !== undefined) return undefined;
  return new Problem('not-acceptable', 'This is a stream of text/event-stream, which Accept refuses.', { field: 'Accept' });
}
