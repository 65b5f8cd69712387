import { readProblem } from '../../model/grant.ts';
import type { Filter } from '../../model/topic.ts';
import type { Clock } from '../../runtime/clock.ts';
import { InTurns } from '../../runtime/in-turns.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { Walk } from '../../runtime/walk.ts';
import { EVERYBODY, type Credential, type Identity } from '../credentials/identity.ts';
import { CredentialsUnavailable } from '../records/credentials-unavailable.ts';
import { Lease, type CutReason, type Holder, type Lessee } from './lease.ts';
import type { Standing } from './standing.ts';

/**
 * This room holds the credentials of open streams. Each stream is an entry in the lease of its credential. A lease asks `standing.ts` whether its
 * credential still holds, and ends its streams when it does not. In come streams and changes of credentials; out go the streams' ends, each with its
 * reason. Clients renew leases, and attach more topics, by a stream's handle.
 */

/** How often leases are looked at: a credential that ends by itself ends its streams that late at most. */
const LEASE_LOOK_MS = 500;

/** How long before the end of its credential a stream gets a warning. */
const WARN_MS = 60_000;

/** How many credentials are asked for at once. Stops a change of all of them from filling the queue of new requests. */
const ASK_MAX_KEYS = 100;

/** How often ended streams are logged, and how many credentials the lines name then. Stops the end of many streams from blocking this process with log lines. */
const TELL_EVERY_MS = 250;
const LINES_MAX_ENTRIES = 20;

/** How many streams and long polls of each credential have ended, by its name. */
type Ended = Map<string | undefined, number>;

export interface LeasesDependencies {
  readonly standing: Pick<Standing, 'now' | 'isOver' | 'recall' | 'ask'>;
  readonly access: {
    /** Whether everybody may come in without a credential; undefined while that is not known. */
    readonly isOpen: boolean | undefined;
    /** Whether the first key ends that. */
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
 * Only an answer of the database ends a lease, or the clock. While the database does not answer, streams stay open.
 */
export class Leases {
  readonly #standing: LeasesDependencies['standing'];
  readonly #access: LeasesDependencies['access'];
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info'>;
  /** By the credential that each began with. A key whose row was read again gets a second lease, which ends with the first. */
  readonly #leases = new Map<Credential | undefined, Lease>();
  /** Leases whose keys have changed, or were not known when the lease began. */
  readonly #unsure = new Set<Lease>();
  #isAsking = false;
  #isScheduled = false;
  /** Stops the end of a key with many streams from keeping all others waiting. */
  readonly #turns: InTurns;
  /** Each stream may have a lease of its own. */
  readonly #reviews: Walk<Lease>;
  readonly #looks: Walk<Lease>;
  /** Ended streams that are not logged yet. */
  #untold = new Map<CutReason, Ended>();

  constructor({ standing, access, clock, logger }: LeasesDependencies) {
    this.#standing = standing;
    this.#access = access;
    this.#clock = clock;
    this.#logger = logger;
    this.#turns = new InTurns(clock);
    const items = (): Iterable<Lease> => this.#leases.values();
    this.#reviews = new Walk({ clock, items, visit: (lease) => this.#review(lease) });
    this.#looks = new Walk({ clock, items, visit: (lease) => this.#lookAtClock(lease) });
  }

  /** Whether an admitted request may still begin. Call it in the same turn as `hold`, so that no change is missed between the two. */
  mayHold({ credential, grant }: Lessee, filter: Filter, isWatching = false): boolean {
    if (credential !== undefined) return this.#standing.recall(credential) !== undefined;
    return grant !== EVERYBODY.grant || this.#access.isOpen !== false || (!isWatching && this.#isPublic(filter));
  }

  /** Ties the holder to its credential from now on. Undefined where nothing can end it: it has shown no credential, and reads public topics. */
  hold(lessee: Lessee, holder: Holder, before?: Lease): Lease | undefined {
    if (lessee.credential === undefined && (lessee.grant !== EVERYBODY.grant || !this.#access.mayClose)) return undefined;
    const lease = this.#leaseOf(lessee);
    lease.add(holder);
    // A renewal by a credential that expires at the same time would be announced again and again.
    const isTold = before?.isWarned === true && before.credential?.expires === lease.credential?.expires;
    if (lease.isWarned && !isTold) holder.warn(this.#secondsLeft(lease.credential!));
    this.#schedule();
    return lease;
  }

  release(lease: Lease, holder: Holder): void {
    lease.delete(holder);
    if (lease.size > 0 || !this.#isKept(lease)) return;
    this.#leases.delete(lease.origin);
    this.#unsure.delete(lease);
  }

  /** API keys have changed; undefined: any of them may have. */
  keysChanged(ids: readonly string[] | undefined): void {
    const lease = this.#leases.get(undefined);
    if (lease !== undefined) this.#reviewWithoutCredential(lease);
    this.#changed(ids, ({ owner }) => owner.kind === 'key' ? owner.id : undefined);
  }

  /** Sessions were ended; undefined: any of them may have been. */
  sessionsChanged(ids: readonly string[] | undefined): void {
    this.#changed(ids, ({ session }) => session);
  }

  /** Tokens were revoked: looks at all of them. */
  review(): void {
    this.#reviews.begin();
  }

  #review(lease: Lease): void {
    const { credential } = lease;
    if (credential?.owner.kind !== 'subject') return;
    const now = this.#standing.recall(credential);
    this.#take(lease, now === 'unknown' ? credential : now);
  }

  /** Time has passed. Nothing is looked up. */
  #lookAtClock(lease: Lease): void {
    const { credential } = lease;
    if (credential === undefined) this.#reviewWithoutCredential(lease);
    else if (credential.expires !== undefined) this.#take(lease, this.#standing.isOver(credential) ? undefined : credential);
  }

  #changed(ids: readonly string[] | undefined, idOf: (credential: Credential) => string | undefined): void {
    const changed = ids === undefined ? undefined : new Set(ids);
    for (const lease of this.#leases.values()) {
      const id = lease.credential === undefined ? undefined : idOf(lease.credential);
      if (id !== undefined && changed?.has(id) !== false) this.#unsure.add(lease);
    }
    void this.#askForUnsure();
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

  /** Takes over the new state of a credential. */
  #take(lease: Lease, credential: Credential | undefined): void {
    if (lease.isOver) return;
    if (credential === undefined) {
      this.#end(lease, this.#standing.isOver(lease.credential!) ? 'expired' : 'revoked');
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

  #end(lease: Lease, reason: CutReason): void {
    this.#close(lease);
    this.#tell(lease.name, reason, lease.size);
    this.#goRound(lease, (holder) => holder.cut(reason));
  }

  /** The lease of streams without a credential. Once there is access control, they go on with public topics only, and need no lease. */
  #reviewWithoutCredential(lease: Lease): void {
    if (this.#access.isOpen !== false) return;
    this.#close(lease);
    const ended = lease.holders.filter(({ filter, isWatching }) => isWatching === true || !this.#isPublic(filter));
    if (ended.length === 0) return;
    this.#tell(undefined, 'closed', ended.length);
    this.#goRound(lease, (holder) => holder.cut('closed'), ended);
  }

  #close(lease: Lease): void {
    lease.isOver = true;
    this.#leases.delete(lease.origin);
    this.#unsure.delete(lease);
  }

  #isPublic(filter: Filter): boolean {
    return readProblem(this.#access.anonymous.grant, filter) === undefined;
  }

  /** Logged a little later: one line for one credential, and few lines for many. */
  #tell(credential: string | undefined, reason: CutReason, count: number): void {
    if (this.#untold.size === 0) this.#clock.after(TELL_EVERY_MS, () => this.#tellAll());
    const ended: Ended = this.#untold.get(reason) ?? new Map<string | undefined, number>();
    this.#untold.set(reason, ended.set(credential, (ended.get(credential) ?? 0) + count));
  }

  #tellAll(): void {
    const untold = this.#untold;
    this.#untold = new Map();
    for (const [reason, ended] of untold) {
      const all = [...ended];
      for (const [credential, count] of all.slice(0, LINES_MAX_ENTRIES)) this.#logger.info({ audit: 'streams-cut', credential, reason, count }, 'streams and long polls end with their credential');
      const rest = all.slice(LINES_MAX_ENTRIES);
      if (rest.length > 0) this.#logger.info({ audit: 'streams-cut', credentials: rest.length, reason, count: rest.reduce((sum, [, count]) => sum + count, 0) }, 'streams and long polls end with further credentials, which are too many for a line each');
    }
  }

  /** Asks the database about unsure leases, some at a time. Where it does not answer, the next look asks again. */
  async #askForUnsure(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      while (this.#unsure.size > 0) {
        const asking = [...this.#unsure].slice(0, ASK_MAX_KEYS);
        for (const lease of asking) this.#unsure.delete(lease);
        const isAnswered = await Promise.all(asking.map((lease) => this.#ask(lease)));
        if (isAnswered.includes(false)) return;
      }
    } finally {
      this.#isAsking = false;
    }
  }

  async #ask(lease: Lease): Promise<boolean> {
    try {
      const credential = await this.#standing.ask(lease.credential!);
      this.#take(lease, credential);
      return true;
    } catch (error) {
      if (!(error instanceof CredentialsUnavailable)) throw error;
      if (this.#isKept(lease)) this.#unsure.add(lease);
      return false;
    }
  }

  /** Runs an action on the holders of a lease, some in each turn, unless they leave it meanwhile. */
  #goRound(lease: Lease, act: (holder: Holder) => void, holders = lease.holders): void {
    this.#turns.forEach(holders, (holder) => {
      if (lease.has(holder)) act(holder);
    });
  }

  /** Keeps a timer while there are leases. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.after(LEASE_LOOK_MS, () => {
      this.#isScheduled = false;
      this.#looks.begin();
      void this.#askForUnsure();
      if (this.#leases.size > 0) this.#schedule();
    });
  }
}
