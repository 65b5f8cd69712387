import { BlockList, isIP } from 'node:net';
import { WrongValue } from './setting-kinds.ts';

/** The names of Express for ranges of private addresses. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** Addresses and ranges such as `10.0.0.0/8`, or their names, separated by commas; undefined for none. Throws `WrongValue`. */
export function readTrustedProxies(text: string): BlockList | undefined {
  const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  if (parts.length === 0) return undefined;
  const list = new BlockList();
  for (const part of parts) for (const range of Object.hasOwn(NAMED, part) ? NAMED[part]! : [part]) add(list, range);
  return list;
}

function add(list: BlockList, range: string): void {
  const [address = '', prefix, ...rest] = range.split('/');
  const version = isIP(address);
  const family = version === 6 ? 'ipv6' : 'ipv4';
  const most = version === 6 ? 128 : 32;
  // Refuses /0, a range of all addresses: then any client could claim any address.
  const isWritten = prefix === undefined || (/^[1-9][0-9]{0,2}$/.test(prefix) && Number(prefix) <= most);
  if (version === 0 || rest.length > 0 || !isWritten) {
    throw new WrongValue(`${JSON.stringify(range)} is no address and no range; name addresses such as 10.1.2.3, ranges such as 10.0.0.0/8, or ${Object.keys(NAMED).join(', ')}, separated by commas`);
  }
  if (prefix === undefined) list.addAddress(address, family);
  else list.addSubnet(address, Number(prefix), family);
}
