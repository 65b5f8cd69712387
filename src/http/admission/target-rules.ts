import type { AllowedHosts } from '../../config/allowed-hosts.ts';
import type { Config } from '../../config/config.ts';
import { isLoopback } from '../../config/loopback.ts';
import { Problem } from '../../model/problem.ts';
import { meantPaths } from '../input/meant-path.ts';
import { ENDPOINTS, isForOperators, type Endpoint } from './endpoints.ts';
import { isAddressHost, isAllowedHost } from './host.ts';
import { shown } from './kept-out.ts';
import { foreignPageDetail, isForeignPage, isPreflight, isSafe, originsAllowedAt } from './origin.ts';
import type { Listener, RequestHead } from './request-head.ts';
import type { Premises } from './rule.ts';

/** The rules about the target of a request: its host, its listener, its path and method; and which web pages may make it. */

const NO_HOSTS: readonly string[] = [];

/**
 * Refuses a host name that this instance does not have. A page can give its own host name the address of this machine (DNS rebinding). Then the browser takes the
 * page for a page of this service, and lets it read all answers. So an instance on a loopback address serves only names that no such page can have.
 * A request without Host passes, because browsers always send one.
 */
export function unknownHost({ listener, url, headers }: RequestHead, { config }: Premises): Problem | undefined {
  const allowed = hostsAllowedAt(listener, config);
  // The usual case: no list is needed.
  if (headers.host !== undefined && url.startsWith('/') && isAllowedHost(headers.host, allowed)) return undefined;
  // Prometheus and load balancers ask the operations listener by IP address. That is safe: no page can have an address for its name.
  const takesAddresses = listener === 'operations' && !isLoopback(config.OPS_HOST);
  const unknown = hostsOf(url, headers.host).find((host) => !isAllowedHost(host, allowed) && !(takesAddresses && isAddressHost(host)));
  if (unknown === undefined) return undefined;
  return new Problem('unknown-host', `The host name ${JSON.stringify(shown(unknown))} is not allowed. Add it to the setting ALLOWED_HOSTS if a proxy or your DNS uses it.`, { field: 'Host' });
}

/** The operations listener takes no credential, so it checks names on a network, too. */
function hostsAllowedAt(listener: Listener, { ALLOWED_HOSTS, HOST }: Config): AllowedHosts {
  return ALLOWED_HOSTS ?? (listener === 'operations' || isLoopback(HOST) ? NO_HOSTS : '*');
}

/** The hosts that a request names: in the header, and in an absolute URL, which takes precedence (RFC 9112, section 3.2.2). Both must be allowed. */
function hostsOf(url: string, header: string | undefined): readonly string[] {
  const inUrl = url.startsWith('/') ? undefined : /^[a-z]+:\/\/([^/?#]*)/i.exec(url)?.[1];
  return [header, inUrl].filter((host) => host !== undefined);
}

/** Paths of the operations listener, with `{name}` for a segment of the router. */
const OPERATIONS_PATHS: readonly string[] = Object.values<Endpoint>(ENDPOINTS).filter(isForOperators).map(({ url }) => url.replace(/:(\w+)/g, '{$1}'));
const IS_OPERATIONS_PATH = new RegExp(`^(?:${OPERATIONS_PATHS.map((path) => path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')).join('|')})$`);

/** The operations listener takes no credential, so it serves no endpoint that needs one. */
export function otherListener({ listener, endpoint, url }: RequestHead): Problem | undefined {
  if (listener === 'main') return undefined;
  // Without an endpoint, `pathOrMethod` answers for a path of this listener: its method may be wrong.
  const isHere = endpoint === undefined ? IS_OPERATIONS_PATH.test(pathOf(url)) : isForOperators(endpoint);
  return isHere ? undefined : new Problem('not-found', `This port serves only ${OPERATIONS_PATHS.join(', ')}.`);
}

/** A request has no endpoint if its path or its method is unknown. */
export function pathOrMethod(request: RequestHead, { config }: Premises): Problem | undefined {
  if (request.endpoint !== undefined) return undefined;
  if (!isEncoded(pathOf(request.url))) return new Problem('invalid-request', 'The path of the URL is not percent-encoded UTF-8.');
  if (isPreflight(request, originsAllowedAt(request.listener, config))) return undefined;
  const allow = request.allowedMethods();
  if (allow.length === 0) return unknownPath(request);
  return new Problem('method-not-allowed', `${request.method} is not possible here; ${allow.join(' and ')} ${allow.length === 1 ? 'is' : 'are'}.`, { allow });
}

function unknownPath(request: RequestHead): Problem {
  const meant = meantPaths(pathOf(request.url)).find((path) => request.allowedMethods(path).includes(request.method));
  if (meant !== undefined) return new Problem('not-found', `There is nothing at this path; ${meant} may be meant.`);
  return new Problem('not-found', 'There is nothing at this path. POST /topics/{topic} publishes, GET /topics/{topic}/events listens; /openapi.json lists everything.');
}

function pathOf(url: string): string {
  return url.split('?', 1)[0]!;
}

function isEncoded(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

export function foreignPage(request: RequestHead, { config }: Premises): Problem | undefined {
  const { method, headers, listener } = request;
  if (isSafe(method, headers) || !isForeignPage(headers, originsAllowedAt(listener, config))) return undefined;
  return new Problem('cross-origin', foreignPageDetail(headers), { field: headers.origin === undefined ? 'Sec-Fetch-Site' : 'Origin' });
}
