import type { IncomingHttpHeaders } from 'node:http';
import { isIP, type BlockList } from 'node:net';
import type { Peer } from './request-head.ts';

/** An address with a port, as some load balancers write it. */
const WITH_PORT = /^(?:\[([^\]]+)\]|([^:]+))(?::[0-9]{1,5})?$/;
/** An IPv4 address as a socket that takes both kinds shows it. */
const MAPPED = /^::ffff:(?=[0-9.]+$)/i;

/**
 * The address of the client that sent a request. A trusted proxy appended the address of its own client to `X-Forwarded-For`. So the list is read from
 * its end, as long as the address is trusted; the first other address is the client's. The client wrote the entries before that itself, and nobody
 * believes them. If an entry is no address, the proxy that sent it counts as the client.
 * @returns An empty text where the connection is gone.
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

/** Whether an address is a proxy's whose word about its clients counts. */
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

/** The bits of an IPv6 address that one site has: within them a client can have as many addresses as it likes. In groups of four digits. */
const NETWORK_NUMBERS = 4;

/** The network by which limits count an address: a /64 for IPv6. */
export function networkOf(address: string): string {
  if (!address.includes(':') || isIP(address) !== 6) return address;
  const [before, after] = address.split('%', 1)[0]!.replace(/[0-9]+(\.[0-9]+){3}$/, '0:0').split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const groups = after === undefined ? before! : [...before!, ...Array<string>(8 - before!.length - after.length).fill('0'), ...after];
  return `${groups.slice(0, NETWORK_NUMBERS).map((group) => parseInt(group, 16).toString(16)).join(':')}::/64`;
}
