import { BlockList, isIP } from 'node:net';
import type { WebhookAllow } from '../config/webhook-allow.ts';

/**
 * The addresses that a webhook may connect to. Through a webhook, an administrator must not reach the machine of this service, its network, or the metadata of its cloud.
 * The check is on the address of each connection, never on a name, because a name may resolve to another address a moment later.
 */

/** IPv4 that is not the public internet (IANA's registry of special-purpose addresses, and addresses that clouds use for themselves). */
const INSIDE_IPV4: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24], ['192.0.2.0', 24], ['192.88.99.0', 24], ['192.168.0.0', 16],
  ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
  // Azure's own services, which answer virtual machines.
  ['168.63.129.16', 32],
];
/** Ranges of 2000::/3, the public internet, that are not public: tunnels that carry an IPv4 address, and ranges for documents and benchmarks. */
const INSIDE_IPV6: readonly (readonly [network: string, prefix: number])[] = [['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20]];

const inside = new BlockList();
for (const [network, prefix] of INSIDE_IPV4) inside.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of INSIDE_IPV6) inside.addSubnet(network, prefix, 'ipv6');
const outsideIpv6 = new BlockList();
outsideIpv6.addSubnet('2000::', 3, 'ipv6');

/** Whether an address is on the public internet. False for a text that is no address. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4: return !inside.check(address, 'ipv4');
    // Everything but 2000::/3 is refused: loopback, link-local, unique local, multicast, mapped IPv4, NAT64.
    case 6: return !address.includes('%') && outsideIpv6.check(address, 'ipv6') && !inside.check(address, 'ipv6');
    default: return false;
  }
}

/** Whether a webhook may connect to an address. @param host The host name of the webhook's URL. */
export function mayConnect(address: string, host: string, allow: WebhookAllow): boolean {
  return isPublicAddress(address) || allow.hosts.has(host) || isAllowedAddress(address, allow);
}

function isAllowedAddress(address: string, { addresses }: WebhookAllow): boolean {
  const version = isIP(address);
  // Refuse mapped IPv4 addresses: a BlockList would compare the IPv4 address inside.
  if (version === 0 || address.includes('%') || /^::ffff:/i.test(address)) return false;
  return addresses.check(address, version === 6 ? 'ipv6' : 'ipv4');
}
