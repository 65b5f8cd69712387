import type { Access } from '../access/access.ts';
import type { Identity } from '../access/identity.ts';
import type { Config } from '../config/config.ts';
import type { Limits } from '../limits/limits.ts';
import type { Problem } from '../model/problem.ts';
import type { Member } from '../presence/member.ts';
import type { Peer, RequestHead } from './request-head.ts';

/** What rules go by besides the request. */
export interface Premises {
  readonly config: Config;
  readonly access: Pick<Access, 'identify' | 'ignoresCredentials'>;
  readonly limits: Pick<Limits, 'failedLogin' | 'publish' | 'session'>;
  /** From the first SIGTERM on. */
  readonly draining: boolean;
}

/** Who sends a request. */
export interface Sender {
  /** Undefined before the rule that finds it out; then nothing may be done. */
  identity: Identity | undefined;
  /** Who listens; undefined before the rule that finds it out, and where that is nobody. */
  member?: Member | undefined;
  /** Where the request comes from. */
  readonly address: () => string;
  /** The connection on which it came. */
  readonly peer: Peer;
}

/** Says why a request is not served; undefined is no objection. It may have to look something up. */
export type Rule = (request: RequestHead, premises: Premises, sender: Sender) => Problem | undefined | Promise<Problem | undefined>;
