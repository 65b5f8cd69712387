import type { IncomingHttpHeaders } from 'node:http';
import { isIP, type BlockList } from 'node:net';
import type { Peer } from './request-head.ts';

/** An address with a port, as some load balancers write it. */
const WITH_PORT = /^(?:\[([^\]]+)\]|([^:]+))(?::[0-9]{1,5})?$/;
/** An IPv4 address as a socket that takes both kinds shows it. */
const MAPPED = /^::ffff:(?=[0-9.]+$)/i;

/**
 * The address of the client that sent a request. Where the other end of the connection is a trusted proxy, the last entry of its `X-Forwarded-For` says
 * who asked it; where that one is trusted too, the entry before counts, and so on. The first address that is not trusted is the client's: entries
 * before it are what that client says, and are not believed. Where an entry is no address, the proxy that sent it counts as the client.
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

function isTrusted(trusted: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && trusted.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

function addressIn(entry: string): string | undefined {
  const text = entry.trim();
  const parts = WITH_PORT.exec(text);
  const address = (isIP(text) !== 0 ? text : parts?.[1] ?? parts?.[2] ?? '').replace(MAPPED, '');
  return isIP(address) === 0 ? undefined : address;
}
