import { BlockList, isIP } from 'node:net';
import { WrongValue } from './setting-kinds.ts';

/** The destinations that webhooks may have besides the public internet: host names, and addresses. */
export interface WebhookAllow {
  readonly hosts: ReadonlySet<string>;
  readonly addresses: BlockList;
}

const HOST = /^[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?$/;

/** Host names, addresses, and ranges such as `10.0.0.0/8`, separated by commas. Throws `WrongValue`. */
export function readWebhookAllow(text: string): WebhookAllow {
  const hosts = new Set<string>();
  const addresses = new BlockList();
  for (const part of text.split(',').map((one) => one.trim().toLowerCase()).filter((one) => one !== '')) {
    const [address = '', prefix, ...rest] = part.split('/');
    const version = isIP(address);
    if (version === 0) {
      if (prefix !== undefined || !HOST.test(address) || /^[0-9.]+$/.test(address)) throw wrong(part);
      hosts.add(address);
      continue;
    }
    const family = version === 6 ? 'ipv6' : 'ipv4';
    const most = version === 6 ? 128 : 32;
    if (rest.length > 0 || address.includes('%') || (prefix !== undefined && (!/^(?:0|[1-9][0-9]{0,2})$/.test(prefix) || Number(prefix) > most))) throw wrong(part);
    addresses.addSubnet(address, prefix === undefined ? most : Number(prefix), family);
  }
  return Object.freeze({ hosts, addresses });
}

function wrong(part: string): WrongValue {
  return new WrongValue(`${JSON.stringify(part)} is no host name, no address and no range; name hosts such as hooks.internal, addresses such as 10.1.2.3, or ranges such as 10.0.0.0/8, without a port, separated by commas`);
}
