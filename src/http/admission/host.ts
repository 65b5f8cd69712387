import { isIP } from 'node:net';
import type { AllowedHosts } from '../../config/allowed-hosts.ts';
import { isLoopbackAddress } from '../../config/loopback.ts';
import { ownText } from '../../runtime/shared-texts.ts';

/** Host names, as the header `Host` says them (RFC 9110, section 7.2): which a request may be for, and which are the same. */

/** A name or an address, and a port. */
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{0,5})?$/;

/** The name in a host: in lower case, without a port, without a dot at its end. It is undefined where the text is no host. */
function nameIn(host: string): string | undefined {
  const name = HOST.exec(host.toLowerCase())?.[1];
  return name?.endsWith('.') === true ? name.slice(0, -1) : name;
}

/** Browsers look none of these names up, so no page can have one of them unless this machine served it. */
function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name);
}

/** Whether a host is an address. No page can have one for its name, unless that address served it. */
export function isAddressHost(host: string): boolean {
  const name = nameIn(host);
  return name !== undefined && isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

/** The host that was asked for last and may be, with the list that allows it: nearly all requests are for one. */
let last: { readonly host: string; readonly allowed: AllowedHosts } | undefined;

/** Whether a request for a host may be served: by a loopback name it always may. */
export function isAllowedHost(host: string, allowed: AllowedHosts): boolean {
  if (allowed === '*' || (last?.host === host && last.allowed === allowed)) return true;
  const isAllowed = isAllowedName(nameIn(host), allowed);
  if (isAllowed) last = { host: ownText(host), allowed };
  return isAllowed;
}

function isAllowedName(name: string | undefined, allowed: Exclude<AllowedHosts, '*'>): boolean {
  return name !== undefined && (isLoopbackName(name) || allowed.some((one) => one === name || (one.startsWith('*.') && name.endsWith(one.slice(1)))));
}

/** The host of a web page's origin, without its scheme's default port. It is undefined for `null`, apps and extensions. */
export function hostOfOrigin(origin: string): string | undefined {
  const url = URL.parse(origin);
  return url !== null && /^https?:$/.test(url.protocol) ? url.host : undefined;
}

/** Whether a page of this origin was served by the host that it asks. `name:443` is `name` where the scheme is https. */
export function isSameHost(origin: string, host: string | undefined): boolean {
  const page = hostOfOrigin(origin);
  if (page === undefined || host === undefined || !HOST.test(host.toLowerCase())) return false;
  return URL.parse(`${origin.slice(0, origin.indexOf(':'))}://${host}`)?.host === page;
}
