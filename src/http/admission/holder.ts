import type { Identity } from '../../access/credentials/identity.ts';
import type { Holder, NamedHolder } from '../../runtime/sharing/fair-shares.ts';
import { networkOf } from './client-address.ts';
import type { Peer } from './request-head.ts';

/** The holder of a request: the owner of its credential if there is one, then its network, then its connection. */
export function holderOf({ scope }: Pick<Identity, 'scope'>, address: () => string, connection: Peer): Holder {
  const network = networkName(address);
  return scope === '' ? [network, connection] : [scope, network, connection];
}

/** The holder of a stream's place. Each stream has a connection of its own, so connections do not count. */
export function holderOfStream({ scope }: Pick<Identity, 'scope'>, address: () => string): NamedHolder {
  const network = networkName(address);
  return scope === '' ? [network] : [scope, network];
}

function networkName(address: () => string): string {
  return `address:${networkOf(address())}`;
}
