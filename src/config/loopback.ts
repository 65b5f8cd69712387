import { isIP } from 'node:net';

/** A text that may be an address. The caller must remove a dot at its end. */
const ADDRESS = /^[[0-9](?:[0-9a-fx.:]*[0-9a-fx\]])?$/i;
/** IPv4 addresses of this machine inside IPv6, as URLs write them. */
const MAPPED = /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/;

/** Whether only this machine can reach a listener on a host or address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || isLoopbackAddress(isIP(host) === 6 ? `[${host}]` : host);
}

/**
 * Whether a text is an address of this machine, however it is written: `127.1`, `0x7f000001`, `[0:0::1]`, `[::ffff:127.0.0.1]`. curl and browsers normalise an
 * address; the clients of Python and Go send it as typed. No page can misuse such a name by DNS: URL parsers read it as an address, so it is never looked up.
 */
export function isLoopbackAddress(host: string): boolean {
  // The usual form first: parsing a URL would cost more than most of a request.
  if (isIP(host) === 4) return host.startsWith('127.');
  if (!ADDRESS.test(host)) return false;
  const address = URL.parse(`http://${host}`)?.hostname;
  return address !== undefined && (address === '[::1]' || MAPPED.test(address) || (address.startsWith('127.') && isIP(address) === 4));
}
