import type { IncomingHttpHeaders } from 'node:http';
import { isIP, type BlockList } from 'node:net';
import type { Peer } from './request-head.ts';

/** An address with a port, as some load balancers write it. */
const WITH_PORT = /^(?:\[([^\]]+)\]|([^:]+))(?::[0-9]{1,5})?$/;
/** An IPv4 address as a socket for IPv4 and IPv6 shows it. */
const MAPPED = /^::ffff:(?=[0-9.]+$)/i;

/**
 * The address of the client that sent a request. Each trusted proxy appends the address of its own client to `X-Forwarded-For`. So this function reads the list from its end,
 * as long as addresses are trusted. The first other address is the client's. Entries before it are ignored, because the client may have written them.
 * If an entry is no address, the proxy that sent it counts as the client.
 *
 * With 10.0.0.0/8 trusted and a socket from 10.0.0.1, `X-Forwarded-For: 1.2.3.4, 198.51.100.7, 10.0.0.2` gives 198.51.100.7.
 * @returns An empty text if the connection is gone.
 */
export function clientAddress(headers: IncomingHttpHeaders, { remoteAddress }: Peer, trusted: BlockList | undefined): string {
  let address = remoteAddress?.replace(MAPPED, '') ?? '';
  const forwarded = headers['x-forwarded-for'];
  if (trusted === undefined || typeof forwarded !== 'string') return address;
  const hops = forwarded.split(',');
  while (isTrusted(trusted, address)) {
    const before = addressIn(hops.pop() ?? '');
    if (before === undefined) break;
    address = before;
  }
  return address;
}

/** Whether an address is that of a proxy of TRUST_PROXY. */
export function isTrusted(trusted: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && trusted.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

function addressIn(entry: string): string | undefined {
  const text = entry.trim();
  const parts = WITH_PORT.exec(text);
  const address = (isIP(text) !== 0 ? text : parts?.[1] ?? parts?.[2] ?? '').replace(MAPPED, '');
  return isIP(address) === 0 ? undefined : address;
}

/** One site has a /64 of IPv6: its clients can use any address in it. This number of its parts, of 16 bits each, names the /64. */
const NETWORK_PARTS = 4;

/** The network that limits count in the place of an address: a /64 for IPv6, and the address itself for IPv4. */
export function networkOf(address: string): string {
  if (!address.includes(':') || isIP(address) !== 6) return address;
  const [before, after] = address.split('%', 1)[0]!.replace(/[0-9]+(\.[0-9]+){3}$/, '0:0').split('::').map((part) => part.split(':').filter((group) => group !== ''));
  // `::` stands for as many groups of 0 as are missing of eight.
  const groups = after === undefined ? before! : [...before!, ...Array<string>(8 - before!.length - after.length).fill('0'), ...after];
  return `${groups.slice(0, NETWORK_PARTS).map((group) => parseInt(group, 16).toString(16)).join(':')}::/64`;
}
