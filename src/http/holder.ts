import type { Identity } from '../access/identity.ts';
import type { Holder, NamedHolder } from '../runtime/fair-shares.ts';
import { networkOf } from './client-address.ts';
import type { Peer } from './request-head.ts';

/** Who a request counts for while it waits for other instances: the owner of its credential, or else its address. */
export function senderOf({ scope }: Pick<Identity, 'scope'>, address: () => string): string {
  return scope === '' ? `address:${networkOf(address())}` : scope;
}

/** Who the memory of a request counts for: the owner of its credential if there is one, its address, and its connection. */
export function holderOf({ scope }: Pick<Identity, 'scope'>, address: () => string, connection: Peer): Holder {
  const network = senderOf({ scope: '' }, address);
  return scope === '' ? [network, connection] : [scope, network, connection];
}

/** Who the place of a stream counts for. Each stream has a connection of its own, so connections tell nothing. */
export function holderOfStream({ scope }: Pick<Identity, 'scope'>, address: () => string): NamedHolder {
  const network = senderOf({ scope: '' }, address);
  return scope === '' ? [network] : [scope, network];
}
