import type { Identity } from '../access/identity.ts';
import type { Holder } from '../runtime/fair-shares.ts';
import { networkOf } from './client-address.ts';
import type { Peer } from './request-head.ts';

/** By whom is counted what a request holds: by the owner of its credential if there is one, by its address, and by its connection. */
export function holderOf({ scope }: Pick<Identity, 'scope'>, address: () => string, connection: Peer): Holder {
  const network = `address:${networkOf(address())}`;
  return scope === '' ? [network, connection] : [scope, network, connection];
}
