import { readProblem } from '../../model/grant.ts';
import type { Filter } from '../../model/topic.ts';
import type { Clock } from '../../runtime/clock.ts';
import { InTurns } from '../../runtime/in-turns.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { Walk } from '../../runtime/walk.ts';
import { EVERYBODY, type Credential, type Identity } from '../credentials/identity.ts';
import { CredentialsUnavailable } from '../records/credentials-unavailable.ts';
import { Lease, type CutReason, type LeaseUser, type Lessee } from './lease.ts';
import type { Standing } from './standing.ts';

/**
 * This room holds the credentials of open streams. Each stream is an entry in the lease of its credential. A lease asks `standing.ts` whether its
 * credential still holds, and ends its streams when it does not. In come streams and changes of credentials; out go the streams' ends, each with its
 * reason. Clients renew leases, and attach more topics, by a stream's handle.
 */

/** How often expiry is checked: streams of an expired credential end at most this long after it. */
const LEASE_CHECK_MS = 500;

/** How long before the end of its credential a stream gets a warning. */
const WARN_MS = 60_000;

/** At most this many lookups at once, so that a change of all keys does not delay the lookups of new requests. */
const LOOKUP_MAX_KEYS = 100;

/** Ended streams are collected for this long before they are logged. */
const LOG_EVERY_MS = 250;
/** One log line for each credential, at most this many; one more line counts the rest. Stops the end of many streams from blocking the process. */
const LINES_MAX_ENTRIES = 20;

/** The number of ended streams and long polls of each credential, by its name. */
type Ended = Map<string | undefined, number>;

export interface LeasesDependencies {
  readonly standing: Pick<Standing, 'now' | 'isOver' | 'recall' | 'ask'>;
  readonly access: {
    /** Whether access is open, so that nobody needs a credential; undefined while that is unknown. */
    readonly isOpen: boolean | undefined;
    /** Whether creating the first key closes open access. */
    readonly mayClose: boolean;
    readonly anonymous: Identity;
  };
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info'>;
}

/**
 * The credentials of open streams and long polls. A stream lasts for hours, and its credential may end before it: by expiry, revocation, a new secret, or the
 * first key. Then its streams end. A stream costs an entry in its lease, and no timer.
 *
 * Only the clock or an answer of the database ends a lease. While the database does not answer, streams stay open.
 *
 *   event                               leases that are checked               how
 *   a key or session changed            those of its credentials              the database is asked (`#recheck`)
 *   a token was revoked                 all of tokens, in slices              from memory (`#reviewToken`)
 *   LEASE_CHECK_MS has passed           all that expire, in slices            by the clock (`#checkExpiry`)
 *   the first key closed open access    the lease without a credential        from memory (`#reviewAnonymous`)
 */
export class Leases {
  readonly #standing: LeasesDependencies['standing'];
  readonly #access: LeasesDependencies['access'];
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info'>;
  /** Keyed by the credential object, not by its id. A key that was read again is a new object with its own lease; a change of the key ends both. */
  readonly #leases = new Map<Credential | undefined, Lease>();
  /** Leases whose credential the database must confirm: it changed, or was not in memory when the lease began. */
  readonly #unconfirmed = new Set<Lease>();
  #isAsking = false;
  #isScheduled = false;
  /** Ends the streams of a credential in slices. So a key with many streams does not block the event loop. */
  readonly #turns: InTurns;
  /** There may be one lease for each stream, so both walks go in slices. */
  readonly #revocationWalk: Walk<Lease>;
  readonly #expiryWalk: Walk<Lease>;
  /** Ended streams that are not logged yet. */
  #unlogged = new Map<CutReason, Ended>();

  constructor({ standing, access, clock, logger }: LeasesDependencies) {
    this.#standing = standing;
    this.#access = access;
    this.#clock = clock;
    this.#logger = logger;
    this.#turns = new InTurns(clock);
    const items = (): Iterable<Lease> => this.#leases.values();
    this.#revocationWalk = new Walk({ clock, items, visit: (lease) => this.#reviewToken(lease) });
    this.#expiryWalk = new Walk({ clock, items, visit: (lease) => this.#checkExpiry(lease) });
  }

  /** Whether an admitted request may still begin. Call it in the same turn as `hold`, so that no change is missed between the two. */
  mayHold({ credential, grant }: Lessee, filter: Filter, isWatching = false): boolean {
    if (credential !== undefined) return this.#standing.recall(credential) !== undefined;
    // Only open access gives `EVERYBODY.grant`. Another grant without a credential is that of public topics.
    if (grant !== EVERYBODY.grant) return true;
    const mayBeOpen = this.#access.isOpen !== false;
    return mayBeOpen || (!isWatching && this.#isPublic(filter));
  }

  /**
   * Ends the user together with its credential from now on.
   * @param before The lease that this one renews.
   * @returns Undefined if nothing can end the user: it has no credential, and either reads public topics only or open access cannot be closed.
   */
  hold(lessee: Lessee, user: LeaseUser, before?: Lease): Lease | undefined {
    if (lessee.credential === undefined && (lessee.grant !== EVERYBODY.grant || !this.#access.mayClose)) return undefined;
    const lease = this.#leaseOf(lessee);
    lease.add(user);
    // Do not warn again if the new credential expires when the old one did.
    const hasBeenWarned = before?.isWarned === true && before.credential?.expires === lease.credential?.expires;
    if (lease.isWarned && !hasBeenWarned) user.warn(this.#secondsLeft(lease.credential!));
    this.#schedule();
    return lease;
  }

  release(lease: Lease, user: LeaseUser): void {
    lease.delete(user);
    if (lease.size > 0 || !this.#isKept(lease)) return;
    this.#leases.delete(lease.origin);
    this.#unconfirmed.delete(lease);
  }

  /** @param ids The changed API keys; undefined if any of them may have changed. */
  keysChanged(ids: readonly string[] | undefined): void {
    const lease = this.#leases.get(undefined);
    if (lease !== undefined) this.#reviewAnonymous(lease);
    this.#changed(ids, ({ owner }) => owner.kind === 'key' ? owner.id : undefined);
  }

  /** @param ids The ended sessions; undefined if any of them may have ended. */
  sessionsChanged(ids: readonly string[] | undefined): void {
    this.#changed(ids, ({ session }) => session);
  }

  /** Tokens were revoked: checks all leases of tokens. */
  review(): void {
    this.#revocationWalk.begin();
  }

  #reviewToken(lease: Lease): void {
    const { credential } = lease;
    if (credential?.owner.kind !== 'subject') return;
    const current = this.#standing.recall(credential);
    this.#update(lease, current === 'unknown' ? credential : current);
  }

  /** Ends or warns by the clock alone, without a lookup. */
  #checkExpiry(lease: Lease): void {
    const { credential } = lease;
    if (credential === undefined) this.#reviewAnonymous(lease);
    else if (credential.expires !== undefined) this.#update(lease, this.#standing.isOver(credential) ? undefined : credential);
  }

  #changed(ids: readonly string[] | undefined, idOf: (credential: Credential) => string | undefined): void {
    const changed = ids === undefined ? undefined : new Set(ids);
    for (const lease of this.#leases.values()) {
      const id = lease.credential === undefined ? undefined : idOf(lease.credential);
      if (id !== undefined && changed?.has(id) !== false) this.#unconfirmed.add(lease);
    }
    void this.#confirm();
  }

  #isKept(lease: Lease): boolean {
    return this.#leases.get(lease.origin) === lease;
  }

  #leaseOf(lessee: Lessee): Lease {
    const { credential } = lessee;
    const known = this.#leases.get(credential);
    if (known !== undefined) return known;
    const lease = new Lease(lessee);
    this.#leases.set(credential, lease);
    if (credential === undefined) return lease;
    // An ended credential gets no lease: `mayHold` has refused it.
    const current = this.#standing.recall(credential);
    if (current === 'unknown') {
      this.#unconfirmed.add(lease);
      void this.#confirm();
    } else if (current !== undefined) {
      lease.credential = current;
      lease.isWarned = this.#isDue(current);
    }
    return lease;
  }

  /** Adopts the current state of a credential, and warns if it expires soon. If undefined, it is no longer valid: the lease ends. */
  #update(lease: Lease, credential: Credential | undefined): void {
    if (lease.isOver) return;
    if (credential === undefined) {
      this.#end(lease, this.#standing.isOver(lease.credential!) ? 'expired' : 'revoked');
      return;
    }
    lease.credential = credential;
    const isDue = this.#isDue(credential);
    if (isDue && !lease.isWarned) this.#forEachUser(lease, (user) => user.warn(this.#secondsLeft(lease.credential!)));
    lease.isWarned = isDue;
  }

  /** Whether the warning about the credential's expiry is due. */
  #isDue(credential: Credential): boolean {
    return credential.expires !== undefined && credential.expires - this.#standing.now(credential) <= WARN_MS;
  }

  #secondsLeft(credential: Credential): number {
    return Math.max(0, Math.round((credential.expires! - this.#standing.now(credential)) / 1000));
  }

  #end(lease: Lease, reason: CutReason): void {
    this.#close(lease);
    this.#log(lease.name, reason, lease.size);
    this.#forEachUser(lease, (user) => user.cut(reason));
  }

  /** Once open access is closed, ends streams without a credential that read non-public topics or presence. The others need no lease any more. */
  #reviewAnonymous(lease: Lease): void {
    if (this.#access.isOpen !== false) return;
    this.#close(lease);
    const ended = lease.users.filter(({ filter, isWatching }) => isWatching === true || !this.#isPublic(filter));
    if (ended.length === 0) return;
    this.#log(undefined, 'closed', ended.length);
    this.#forEachUser(lease, (user) => user.cut('closed'), ended);
  }

  #close(lease: Lease): void {
    lease.isOver = true;
    this.#leases.delete(lease.origin);
    this.#unconfirmed.delete(lease);
  }

  #isPublic(filter: Filter): boolean {
    return readProblem(this.#access.anonymous.grant, filter) === undefined;
  }

  /** Counts ended streams for the next log lines. */
  #log(credential: string | undefined, reason: CutReason, count: number): void {
    if (this.#unlogged.size === 0) this.#clock.after(LOG_EVERY_MS, () => this.#logAll());
    const ended: Ended = this.#unlogged.get(reason) ?? new Map<string | undefined, number>();
    this.#unlogged.set(reason, ended.set(credential, (ended.get(credential) ?? 0) + count));
  }

  #logAll(): void {
    const unlogged = this.#unlogged;
    this.#unlogged = new Map();
    for (const [reason, ended] of unlogged) {
      const all = [...ended];
      for (const [credential, count] of all.slice(0, LINES_MAX_ENTRIES)) this.#logger.info({ audit: 'streams-cut', credential, reason, count }, 'streams and long polls end with their credential');
      const rest = all.slice(LINES_MAX_ENTRIES);
      if (rest.length > 0) this.#logger.info({ audit: 'streams-cut', credentials: rest.length, reason, count: rest.reduce((sum, [, count]) => sum + count, 0) }, 'streams and long polls of more credentials end; this line counts them together');
    }
  }

  /** Asks the database about unconfirmed leases, some at a time. If it does not answer, the next check asks again. */
  async #confirm(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (this.#unconfirmed.size > 0) {
        const asking = [...this.#unconfirmed].slice(0, LOOKUP_MAX_KEYS);
        for (const lease of asking) this.#unconfirmed.delete(lease);
        const isAnswered = await Promise.all(asking.map((lease) => this.#recheck(lease)));
        if (isAnswered.includes(false)) return;
      }
    } finally {
      this.#isAsking = false;
    }
  }

  async #recheck(lease: Lease): Promise<boolean> {
    try {
      const credential = await this.#standing.ask(lease.credential!);
      this.#update(lease, credential);
      return true;
    } catch (error) {
      if (!(error instanceof CredentialsUnavailable)) throw error;
      if (this.#isKept(lease)) this.#unconfirmed.add(lease);
      return false;
    }
  }

  /** Calls `act` for the users of a lease, in slices. Skips users that have left the lease in between. */
  #forEachUser(lease: Lease, act: (user: LeaseUser) => void, users = lease.users): void {
    this.#turns.forEach(users, (user) => {
      if (lease.has(user)) act(user);
    });
  }

  /** One timer for all leases; it runs while there are any. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.after(LEASE_CHECK_MS, () => {
      this.#isScheduled = false;
      this.#expiryWalk.begin();
      void this.#confirm();
      if (this.#leases.size > 0) this.#schedule();
    });
  }
}
