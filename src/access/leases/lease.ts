import type { Filter } from '../../model/topic.ts';
import type { Credential, Identity } from '../credentials/identity.ts';

/** Why the service ends a stream. `closed`: the first key closed open access. `taken-over`: another request opened a stream with the same ticket. */
export type CutReason = 'expired' | 'revoked' | 'closed' | 'taken-over';

/** A stream or long poll that ends with its credential. */
export interface LeaseUser {
  /** Topics that it reads. */
  readonly filter: Filter;
  /** Whether it also receives presence, which is never public. */
  readonly isWatching?: boolean;
  /** Tells the client that its credential expires. */
  warn(secondsLeft: number): void;
  /** Ends the stream, which then releases its lease. */
  cut(reason: CutReason): void;
}

/** The sender that gets a lease. */
export type Lessee = Pick<Identity, 'credential' | 'grant' | 'name'>;

/** A credential, and the streams and long polls that it has opened. Only `Leases` changes it. */
export class Lease {
  /** The credential that the lease began with: its key in `Leases`. Undefined for all users without a credential. */
  readonly origin: Credential | undefined;
  /** For log lines. */
  readonly name: string | undefined;
  /** The current state of the credential. */
  credential: Credential | undefined;
  /** Whether its users have been warned that the credential expires soon. */
  isWarned = false;
  /** Whether its users end, or have ended. */
  isOver = false;
  /** One user, or a set of several. Most leases of tokens have one user, and a set would take more memory than the lease. */
  #users: LeaseUser | Set<LeaseUser> | undefined;

  constructor({ credential, name }: Lessee) {
    this.origin = credential;
    this.credential = credential;
    this.name = name;
  }

  get size(): number {
    return this.#users === undefined ? 0 : this.#users instanceof Set ? this.#users.size : 1;
  }

  get users(): readonly LeaseUser[] {
    return this.#users === undefined ? [] : this.#users instanceof Set ? [...this.#users] : [this.#users];
  }

  has(user: LeaseUser): boolean {
    return this.#users instanceof Set ? this.#users.has(user) : this.#users === user;
  }

  add(user: LeaseUser): void {
    if (this.#users === undefined) this.#users = user;
    else if (this.#users instanceof Set) this.#users.add(user);
    else if (this.#users !== user) this.#users = new Set([this.#users, user]);
  }

  delete(user: LeaseUser): void {
    if (this.#users instanceof Set) this.#users.delete(user);
    else if (this.#users === user) this.#users = undefined;
  }
}
