import type { Identity } from '../access/identity.ts';
import type { Holder, NamedHolder } from '../runtime/fair-shares.ts';
import { networkOf } from './client-address.ts';
import type { Peer } from './request-head.ts';

/** By whom requests are counted that wait for other instances: by the owner of their credential, and without one by their address. */
export function senderOf({ scope }: Pick<Identity, 'scope'>, address: () => string): string {
  return scope === '' ? `address:${networkOf(address())}` : scope;
}

/** By whom is counted what a request holds: by the owner of its credential if there is one, by its address, and by its connection. */
export function holderOf({ scope }: Pick<Identity, 'scope'>, address: () => string, connection: Peer): Holder {
  const network = senderOf({ scope: '' }, address);
  return scope === '' ? [network, connection] : [scope, network, connection];
}

/** By whom the place of a stream is counted. Each has a connection of its own, so connections tell nothing. */
export function holderOfStream({ scope }: Pick<Identity, 'scope'>, address: () => string): NamedHolder {
  const network = senderOf({ scope: '' }, address);
  return scope === '' ? [network] : [scope, network];
}
