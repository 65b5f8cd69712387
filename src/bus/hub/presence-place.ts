import { PlaceAway, type MemberPage, type PlaceListener, type PresenceChange, type PresenceChanges, type PresenceCount, type PresencePage, type PresencePlace, type Telling } from '../../presence/place.ts';
import { within, type Clock, type Timer } from '../../runtime/clock.ts';
import { randomName } from '../../store/names.ts';
import type { HubCall, HubCalls } from './calls.ts';
import { HUB_CLOSE_MAX_MS, HubAway, HubRefused, type HubConnection, type HubUser } from './connection.ts';

/** A lease runs for this share of `ttlMs`. The rest is for the other workers to notice its end. */
const LEASE_SHARE = 0.5;

/** How many renewals fit into one lease. */
const RENEWALS_FACTOR = 3;

/** The longest time between renewals of a lease. Bounds how long counts include members of a dead worker. */
const RENEW_MAX_MS = 1_000;

/** The hub applies 200 changes in about a millisecond. Stops a write from delaying commits for longer. */
const TELLING: Telling = { everyMs: 50, maxEntries: 200, maxRequests: 4 };

/** The length of a lease's name. */
const LEASE_NAME_CHARACTERS = 12;

export interface HubPresencePlaceOptions {
  readonly connection: HubConnection;
  /** The entries of a killed worker count for this time at most. */
  readonly ttlMs: number;
  readonly clock: Clock;
}

/**
 * A worker's side of the presence in the hub (presence-board.ts). The states of its lease:
 *
 *     no name ─ connected: #begin ─► named, not active ─ all entries written: activate ─► active ─ the lease ended: #begin ─► named, not active …
 *     any state ─ the connection is lost, or the hub refuses changes ─► no name
 *
 * A worker whose lease has ended takes a new name, and writes all its entries again.
 */
export class HubPresencePlace implements PresencePlace {
  readonly telling = TELLING;
  /** Always false: no worker learns that it is the only one. */
  readonly isAlone = false;
  readonly #connection: HubConnection;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #user: HubUser;
  #logId = '';
  #listener: PlaceListener | undefined;
  /** The lease under which this worker writes now. */
  #name: string | undefined;
  /** The lease that this worker activated last. */
  #before = '';
  #isActive = false;
  #isClosed = false;
  #renewal: Timer | undefined;

  constructor({ connection, ttlMs, clock }: HubPresencePlaceOptions) {
    this.#connection = connection;
    this.#clock = clock;
    this.#leaseMs = Math.round(ttlMs * LEASE_SHARE);
    this.#user = { onReady: () => void this.#begin(), onLost: () => this.#lost() };
  }

  get isUp(): boolean {
    return this.#isActive && this.#connection.isReady && !this.#isClosed;
  }

  join(logId: string, listener: PlaceListener): void {
    this.#logId = logId;
    this.#listener = listener;
    this.#connection.attach(this.#user);
  }

  async write(changes: readonly PresenceChange[]): Promise<void> {
    const name = this.#begun;
    try {
      this.#ifHeld(name, await this.#connection.ask('presence.write', { name, changes }));
    } catch (error) {
      if (error instanceof HubRefused) this.#lacks(name);
      throw placeAway(error);
    }
  }

  async activate(): Promise<void> {
    const name = this.#begun;
    this.#ifHeld(name, await this.#ask('presence.activate', { name, before: this.#before, leaseMs: this.#leaseMs }));
    if (name !== this.#name) throw new PlaceAway();
    this.#before = name;
    this.#isActive = true;
  }

  async page(topic: string, after: string, limit: number): Promise<PresencePage> {
    const name = this.#counted;
    return this.#held(name, await this.#ask('presence.page', { name, topic, after, limit }));
  }

  async counts(topics: readonly string[]): Promise<readonly PresenceCount[]> {
    const name = this.#counted;
    return this.#held(name, await this.#ask('presence.counts', { name, topics }));
  }

  async topicsOf(member: string, after: string, limit: number): Promise<MemberPage> {
    const name = this.#counted;
    return this.#held(name, await this.#ask('presence.topicsOf', { name, member, after, limit }));
  }

  changes(after: number): Promise<PresenceChanges> {
    return this.#ask('presence.changes', { after });
  }

  async close(lingerMs: number): Promise<void> {
    const isTold = this.isUp ? this.#ask('presence.renew', { name: this.#name!, leaseMs: lingerMs }).catch(placeAwayOnly) : undefined;
    this.#isClosed = true;
    this.#renewal?.cancel();
    if (isTold !== undefined) await within(this.#clock, HUB_CLOSE_MAX_MS, isTold);
    await this.#connection.detach(this.#user);
  }

  get #begun(): string {
    if (this.#name === undefined || this.#isClosed) throw new PlaceAway();
    return this.#name;
  }

  get #counted(): string {
    if (!this.#isActive) throw new PlaceAway();
    return this.#begun;
  }

  /** Takes a new name, and writes all entries under it. Until `activate`, the entries under the old name count if that lease still runs. */
  async #begin(): Promise<void> {
    const name = randomName(LEASE_NAME_CHARACTERS);
    this.#name = name;
    try {
      await this.#ask('presence.begin', { log: this.#logId, name, leaseMs: this.#leaseMs });
    } catch (error) {
      placeAwayOnly(error);
      return;
    }
    if (this.#name !== name || this.#isClosed) return;
    this.#renewLater();
    this.#listener!.begin();
  }

  #renewLater(): void {
    this.#renewal?.cancel();
    this.#renewal = this.#clock.after(Math.min(RENEW_MAX_MS, this.#leaseMs / RENEWALS_FACTOR), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const name = this.#name;
    if (name === undefined || this.#isClosed) return;
    this.#renewLater();
    try {
      if (!await this.#ask('presence.renew', { name, leaseMs: this.#leaseMs })) this.#ended(name);
    } catch (error) {
      placeAwayOnly(error);
    }
  }

  #held<Answer>(name: string, answer: Answer | null): Answer {
    this.#ifHeld(name, answer !== null);
    return answer!;
  }

  /** Throws `PlaceAway` if the lease has ended, because this worker was silent for too long. */
  #ifHeld(name: string, isHeld: boolean): void {
    if (isHeld) return;
    this.#ended(name);
    throw new PlaceAway('the lease has ended');
  }

  #ended(name: string): void {
    if (this.#name !== name || this.#isClosed || !this.#connection.isReady) return;
    this.#isActive = false;
    this.#listener!.lost();
    void this.#begin();
  }

  #lost(): void {
    this.#name = undefined;
    this.#isActive = false;
    this.#renewal?.cancel();
    this.#listener!.lost();
  }

  /** The hub refused changes. The entries of this worker do not count until it has written all of them again. */
  #lacks(name: string): void {
    if (this.#name !== name || this.#isClosed) return;
    this.#lost();
    this.#renewal = this.#clock.after(RENEW_MAX_MS, () => void this.#begin());
  }

  async #ask<Name extends HubCall>(name: Name, argument: HubCalls[Name]['argument']): Promise<HubCalls[Name]['value']> {
    if (this.#isClosed) throw new PlaceAway();
    try {
      return await this.#connection.ask(name, argument);
    } catch (error) {
      throw placeAway(error);
    }
  }
}

/** Translates an error of the hub into the error of the contract (presence/place.ts). */
function placeAway(error: unknown): unknown {
  return error instanceof HubAway ? new PlaceAway(error.message) : error;
}

function placeAwayOnly(error: unknown): undefined {
  if (!(error instanceof PlaceAway)) throw error;
  return undefined;
}
