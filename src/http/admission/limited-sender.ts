import { EVERYBODY, type Identity } from '../../access/credentials/identity.ts';
import type { LimitedSender } from '../../limits/limits.ts';
import type { Problem } from '../../model/problem.ts';
import { NOBODY } from './access-rules.ts';
import { networkOf } from './client-address.ts';
import { ENDPOINTS } from './endpoints.ts';
import type { RequestHead } from './request-head.ts';
import type { Premises, Sender } from './rule.ts';

/** The sender that limits count: the owner of the credential, from any address; without a credential the network. Undefined without access control: then there are no limits. */
export function limitedSender(identity: Identity, address: () => string): LimitedSender | undefined {
  if (identity === EVERYBODY) return undefined;
  return identity.scope === '' ? { id: `address:${networkOf(address())}`, isAnonymous: true } : { id: identity.scope, isAnonymous: false };
}

/** Charges a login, and the first message of a publish. `publishLimited` charges the other messages of a batch, once it has read them. */
export function withinLimits({ endpoint }: RequestHead, { limits }: Premises, { identity = NOBODY, address }: Sender): Problem | undefined | Promise<Problem | undefined> {
  const isLogin = endpoint === ENDPOINTS.createSession;
  if (!isLogin && endpoint !== ENDPOINTS.publish && endpoint !== ENDPOINTS.publishBatch) return undefined;
  const sender = limitedSender(identity, address);
  return sender && (isLogin ? limits.session(sender) : limits.publish(sender, 1));
}
