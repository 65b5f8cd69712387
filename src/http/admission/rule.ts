import type { Access } from '../../access/access.ts';
import type { Identity } from '../../access/credentials/identity.ts';
import type { Config } from '../../config/config.ts';
import type { Limits } from '../../limits/limits.ts';
import type { Problem } from '../../model/problem.ts';
import type { Member } from '../../presence/member.ts';
import type { Peer, RequestHead } from './request-head.ts';

/** The inputs of rules besides the request. */
export interface Premises {
  readonly config: Config;
  readonly access: Pick<Access, 'identify' | 'ignoresCredentials'>;
  readonly limits: Pick<Limits, 'failedLogin' | 'publish' | 'session'>;
  /** From the first SIGTERM on. */
  readonly draining: boolean;
}

/** The sender of a request. Two rules fill it in. */
export interface Sender {
  /** Undefined until the rule `identified` sets it. If another rule refuses the request before, the sender counts as `NOBODY`. */
  identity: Identity | undefined;
  /** The member that presence lists for the stream. The rule `membership` sets it; undefined for an anonymous stream. */
  member?: Member | undefined;
  /** Where the request comes from. */
  readonly address: () => string;
  /** The connection on which it came. */
  readonly peer: Peer;
}

/** Returns why the request must not be served; undefined if this rule does not object. It returns a promise only if it has to wait for a lookup. */
export type Rule = (request: RequestHead, premises: Premises, sender: Sender) => Problem | undefined | Promise<Problem | undefined>;
