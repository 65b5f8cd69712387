import { readProblem } from '../model/grant.ts';
import type { Filter } from '../model/topic.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { EVERYBODY, type Credential, type Identity } from './identity.ts';
import { KeysUnavailable } from './known-keys.ts';
import type { Standing } from './standing.ts';

/** How often leases are looked at: a credential that ends by itself ends its streams that late at most. */
const LOOK_MS = 500;

/** How long before the end of its credential a stream is told. */
const WARN_MS = 60_000;

/** How many streams are written to in one turn of the event loop. Stops the end of a key with many streams from keeping all others waiting. */
const HOLDERS_PER_TURN = 50;

/** How many credentials are asked for at once. Stops a change of all of them from filling the queue of those that knock. */
const ASK_MAX_CREDENTIALS = 100;

/** Why something ends before its client wants it to. `closed`: there is access control now. */
export type CutReason = 'expired' | 'revoked' | 'closed';

/** What a credential has opened, and what ends with it: a stream, or a long poll. */
export interface Holder {
  /** What it reads. */
  readonly filter: Filter;
  /** Says when its credential ends. */
  warn(secondsLeft: number): void;
  /** Ends it. It releases its lease when it has ended. */
  cut(reason: CutReason): void;
}

/** A credential in use, and all that it has opened. */
export interface Lease {
  /** For log lines. */
  readonly name: string | undefined;
  /** Undefined: without a credential, because everybody was let in. */
  readonly credential: Credential | undefined;
  readonly holders: ReadonlySet<Holder>;
  /** Its holders end, or have ended. */
  readonly isOver: boolean;
}

/** Kept by `Leases`, which alone changes it. */
interface OpenLease extends Lease {
  readonly key: string;
  credential: Credential | undefined;
  readonly holders: Set<Holder>;
  isWarned: boolean;
  isOver: boolean;
}

export interface LeasesDependencies {
  readonly standing: Pick<Standing, 'now' | 'recall' | 'ask'>;
  readonly access: {
    /** Undefined while it is not known. */
    readonly isOpen: boolean | undefined;
    readonly mayClose: boolean;
    readonly anonymous: Identity;
  };
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info'>;
}

interface Round {
  readonly holders: Iterator<Holder>;
  readonly act: (holder: Holder) => void;
}

/**
 * The credentials of open streams and long polls. A stream lasts for hours, and its credential may end meanwhile: by itself, by a revocation, by a new secret, or because the first key
 * is made. Then the streams end that it opened. A stream costs an entry in the set of its lease, and no timer.
 *
 * Only an answer of the database ends a lease, or the clock. While the database does not answer, streams stay open.
 */
export class Leases {
  readonly #standing: LeasesDependencies['standing'];
  readonly #access: LeasesDependencies['access'];
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info'>;
  readonly #leases = new Map<string, OpenLease>();
  /** Those whose keys have changed, or were not known when they began. */
  readonly #unsure = new Set<OpenLease>();
  #isAsking = false;
  #timer: Timer | undefined;
  readonly #rounds: Round[] = [];
  #isGoingRound = false;

  constructor({ standing, access, clock, logger }: LeasesDependencies) {
    this.#standing = standing;
    this.#access = access;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Whether what was admitted may still begin, as far as is known in this turn. Call it in the turn of `hold`: then no change is missed between the two. */
  mayHold({ credential, grant }: Pick<Identity, 'credential' | 'grant'>, filter: Filter): boolean {
    if (credential !== undefined) return this.#standing.recall(credential) !== undefined;
    return grant !== EVERYBODY.grant || this.#access.isOpen !== false || this.#isPublic(filter);
  }

  /** From now on the holder ends with its credential. Undefined where nothing can end it: it has shown no credential, and reads what is public. */
  hold({ credential, grant, name }: Pick<Identity, 'credential' | 'grant' | 'name'>, holder: Holder): Lease | undefined {
    if (credential === undefined && (grant !== EVERYBODY.grant || !this.#access.mayClose)) return undefined;
    const lease = this.#leaseOf(credential, name);
    lease.holders.add(holder);
    if (lease.isWarned) holder.warn(this.#secondsLeft(lease.credential!));
    this.#schedule();
    return lease;
  }

  release(lease: Lease, holder: Holder): void {
    const open = lease as OpenLease;
    open.holders.delete(holder);
    if (open.holders.size > 0 || this.#leases.get(open.key) !== open) return;
    this.#leases.delete(open.key);
    this.#unsure.delete(open);
  }

  /** API keys have changed; undefined: any of them may have. */
  keysChanged(ids: readonly string[] | undefined): void {
    const changed = ids === undefined ? undefined : new Set(ids);
    for (const lease of this.#leases.values()) {
      const owner = lease.credential?.owner;
      if (owner === undefined) this.#reviewOpen(lease);
      else if (owner.kind === 'key' && changed?.has(owner.id) !== false) this.#unsure.add(lease);
    }
    void this.#askForUnsure();
  }

  /** Looks at all of them: tokens were revoked, or time has passed. */
  review(): void {
    for (const lease of this.#leases.values()) {
      const { credential } = lease;
      if (credential === undefined) {
        this.#reviewOpen(lease);
        continue;
      }
      if (credential.expires === undefined && credential.owner.kind === 'key') continue;
      const now = this.#standing.recall(credential);
      if (now !== 'unknown') this.#take(lease, now);
    }
  }

  #leaseOf(credential: Credential | undefined, name: string | undefined): OpenLease {
    const key = credential === undefined ? '' : leaseKey(credential);
    const known = this.#leases.get(key);
    if (known !== undefined) return known;
    const lease: OpenLease = { key, name, credential, holders: new Set(), isWarned: false, isOver: false };
    this.#leases.set(key, lease);
    if (credential === undefined) return lease;
    const now = this.#standing.recall(credential);
    if (now === 'unknown') {
      this.#unsure.add(lease);
      void this.#askForUnsure();
    } else if (now !== undefined) {
      lease.credential = now;
      lease.isWarned = this.#isDue(now);
    }
    return lease;
  }

  /** Takes over how a credential stands. */
  #take(lease: OpenLease, credential: Credential | undefined): void {
    if (lease.isOver) return;
    if (credential === undefined) {
      const { expires } = lease.credential!;
      this.#end(lease, expires !== undefined && expires <= this.#standing.now(lease.credential!) ? 'expired' : 'revoked');
      return;
    }
    lease.credential = credential;
    const isDue = this.#isDue(credential);
    if (isDue && !lease.isWarned) this.#goRound(lease, (holder) => holder.warn(this.#secondsLeft(lease.credential!)));
    lease.isWarned = isDue;
  }

  #isDue(credential: Credential): boolean {
    return credential.expires !== undefined && credential.expires - this.#standing.now(credential) <= WARN_MS;
  }

  #secondsLeft(credential: Credential): number {
    return Math.max(0, Math.round((credential.expires! - this.#standing.now(credential)) / 1000));
  }

  #end(lease: OpenLease, reason: CutReason): void {
    lease.isOver = true;
    this.#leases.delete(lease.key);
    this.#unsure.delete(lease);
    this.#told(lease.name, reason, lease.holders.size);
    this.#goRound(lease, (holder) => holder.cut(reason));
  }

  /** What everybody was let in to reads on only what is public, once there is access control. */
  #reviewOpen(lease: OpenLease): void {
    if (this.#access.isOpen !== false) return;
    const ended = [...lease.holders].filter(({ filter }) => !this.#isPublic(filter));
    if (ended.length === 0) return;
    this.#told(undefined, 'closed', ended.length);
    this.#goRound(lease, (holder) => holder.cut('closed'), ended);
  }

  #isPublic(filter: Filter): boolean {
    return readProblem(this.#access.anonymous.grant, filter) === undefined;
  }

  #told(credential: string | undefined, reason: CutReason, count: number): void {
    this.#logger.info({ audit: 'streams-cut', credential, reason, count }, 'streams and long polls end with their credential');
  }

  /** Asks for what is not known, some at a time. Where the database does not answer, the next look asks again. */
  async #askForUnsure(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (this.#unsure.size > 0) {
        const asking = [...this.#unsure].slice(0, ASK_MAX_CREDENTIALS);
        for (const lease of asking) this.#unsure.delete(lease);
        const isAnswered = await Promise.all(asking.map((lease) => this.#ask(lease)));
        if (isAnswered.includes(false)) return;
      }
    } finally {
      this.#isAsking = false;
    }
  }

  async #ask(lease: OpenLease): Promise<boolean> {
    try {
      const credential = await this.#standing.ask(lease.credential!);
      this.#take(lease, credential);
      return true;
    } catch (error) {
      if (!(error instanceof KeysUnavailable)) throw error;
      if (this.#leases.get(lease.key) === lease) this.#unsure.add(lease);
      return false;
    }
  }

  /** Does something with the holders of a lease, some in each turn, as long as they are its holders. */
  #goRound(lease: OpenLease, act: (holder: Holder) => void, holders: Iterable<Holder> = [...lease.holders]): void {
    this.#rounds.push({ holders: holders[Symbol.iterator](), act: (holder) => {
      if (lease.holders.has(holder)) act(holder);
    } });
    if (this.#isGoingRound) return;
    this.#isGoingRound = true;
    this.#goOn();
  }

  #goOn(): void {
    let left = HOLDERS_PER_TURN;
    for (let round = this.#rounds[0]; round !== undefined; round = this.#rounds[0]) {
      for (let next = round.holders.next(); next.done !== true; next = round.holders.next()) {
        round.act(next.value);
        if (--left === 0) {
          this.#clock.soon(() => this.#goOn());
          return;
        }
      }
      this.#rounds.shift();
    }
    this.#isGoingRound = false;
  }

  /** There is a timer while there are leases. */
  #schedule(): void {
    this.#timer ??= this.#clock.after(LOOK_MS, () => {
      this.#timer = undefined;
      this.review();
      void this.#askForUnsure();
      if (this.#leases.size > 0) this.#schedule();
    });
  }
}

/** What tells one credential from another. No name holds a NUL. */
function leaseKey({ owner, expires }: Credential): string {
  return owner.kind === 'key' ? `key\0${owner.id}\0${owner.secret}` : `subject\0${owner.subject}\0${owner.tokenId ?? ''}\0${owner.issuedAt}\0${expires}`;
}
