import { isIP } from 'node:net';
import type { AllowedHosts } from '../../config/allowed-hosts.ts';
import { isLoopbackAddress } from '../../config/loopback.ts';
import { ownText } from '../../runtime/shared-texts.ts';

/** Host names, as in the header `Host` (RFC 9110, section 7.2): which names a request may use, and which two are equal. */

/** A name or an address, and a port. */
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{0,5})?$/;

/** The name in a host: in lower case, without a port, without a dot at its end. Undefined if the text is no host. */
function nameIn(host: string): string | undefined {
  const name = HOST.exec(host.toLowerCase())?.[1];
  return name?.endsWith('.') === true ? name.slice(0, -1) : name;
}

/** Browsers resolve these names without DNS. So the page of such a name was served by this machine. */
function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name);
}

/** Whether a host is an IP address. DNS rebinding needs a name, so a page of an address was served by that address. */
export function isAddressHost(host: string): boolean {
  const name = nameIn(host);
  return name !== undefined && isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

/** The last allowed host, with the list that allows it. Nearly all requests use the same host, so this saves a parse for each. */
let last: { readonly host: string; readonly allowed: AllowedHosts } | undefined;

/** Whether a list allows a host. Every list also allows loopback names. */
export function isAllowedHost(host: string, allowed: AllowedHosts): boolean {
  if (allowed === '*' || (last?.host === host && last.allowed === allowed)) return true;
  const isAllowed = isAllowedName(nameIn(host), allowed);
  if (isAllowed) last = { host: ownText(host), allowed };
  return isAllowed;
}

function isAllowedName(name: string | undefined, allowed: Exclude<AllowedHosts, '*'>): boolean {
  return name !== undefined && (isLoopbackName(name) || allowed.some((entry) => entry === name || (entry.startsWith('*.') && name.endsWith(entry.slice(1)))));
}

/** The host of a web page's origin, without its scheme's default port. Undefined for `null`, apps and extensions. */
export function hostOfOrigin(origin: string): string | undefined {
  const url = URL.parse(origin);
  return url !== null && /^https?:$/.test(url.protocol) ? url.host : undefined;
}

/** Whether a page of this origin was served by `host`. With https, `name:443` equals `name`. */
export function isSameHost(origin: string, host: string | undefined): boolean {
  const page = hostOfOrigin(origin);
  if (page === undefined || host === undefined || !HOST.test(host.toLowerCase())) return false;
  return URL.parse(`${origin.slice(0, origin.indexOf(':'))}://${host}`)?.host === page;
}
