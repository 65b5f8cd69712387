import type { Filter } from '../../model/topic.ts';
import type { Credential, Identity } from '../credentials/identity.ts';

/** Why something ends before its client wants it to. `closed`: there is access control now. `taken-over`: its ticket was used again. */
export type CutReason = 'expired' | 'revoked' | 'closed' | 'taken-over';

/** A stream or long poll that ends with its credential. */
export interface Holder {
  /** Topics that it reads. */
  readonly filter: Filter;
  /** Whether it also receives presence, which is never public. */
  readonly isWatching?: boolean;
  /** Says when its credential ends. */
  warn(secondsLeft: number): void;
  /** Ends it. It releases its lease when it has ended. */
  cut(reason: CutReason): void;
}

/** The sender that gets a lease. */
export type Lessee = Pick<Identity, 'credential' | 'grant' | 'name'>;

/** A credential in use, and all that it has opened. Kept by `Leases`, which alone changes it. */
export class Lease {
  /** Its key in the table: the first credential; undefined for everybody without access control. */
  readonly origin: Credential | undefined;
  /** For log lines. */
  readonly name: string | undefined;
  /** As it is now. */
  credential: Credential | undefined;
  isWarned = false;
  /** Whether its holders end, or have ended. */
  isOver = false;
  /** Where each user has a token, most leases have one holder: a set for each would take more memory than the lease. */
  #holders: Holder | Set<Holder> | undefined;

  constructor({ credential, name }: Lessee) {
    this.origin = credential;
    this.credential = credential;
    this.name = name;
  }

  get size(): number {
    return this.#holders === undefined ? 0 : this.#holders instanceof Set ? this.#holders.size : 1;
  }

  get holders(): readonly Holder[] {
    return this.#holders === undefined ? [] : this.#holders instanceof Set ? [...this.#holders] : [this.#holders];
  }

  has(holder: Holder): boolean {
    return this.#holders instanceof Set ? this.#holders.has(holder) : this.#holders === holder;
  }

  add(holder: Holder): void {
    if (this.#holders === undefined) this.#holders = holder;
    else if (this.#holders instanceof Set) this.#holders.add(holder);
    else if (this.#holders !== holder) this.#holders = new Set([this.#holders, holder]);
  }

  delete(holder: Holder): void {
    if (this.#holders instanceof Set) this.#holders.delete(holder);
    else if (this.#holders === holder) this.#holders = undefined;
  }
}
