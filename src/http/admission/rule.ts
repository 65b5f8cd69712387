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

/** The sender of a request. */
export interface Sender {
  /** Undefined before the rule that finds it out; then nothing may be done. */
  identity: Identity | undefined;
  /** The member that listens; undefined before its rule has run, and for an anonymous stream. */
  member?: Member | undefined;
  /** Where the request comes from. */
  readonly address: () => string;
  /** The connection on which it came. */
  readonly peer: Peer;
}

/** Says why a request is not served; undefined is no objection. It may have to look something up. */
export type Rule = (request: RequestHead, premises: Premises, sender: Sender) => Problem | undefined | Promise<Problem | undefined>;
