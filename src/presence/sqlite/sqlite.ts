import { realpathSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { within, type Clock, type Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { PlaceAway, type MemberPage, type PlaceListener, type PresenceChange, type PresenceChanges, type PresenceCount, type PresencePage, type PresencePlace, type Telling } from '../place.ts';
import { PlaceThread } from './place-thread.ts';
import type { Call, Calls } from './protocol.ts';
import { Roster } from './roster.ts';

/**
 * The room `sqlite` puts together who listens on several processes of one host that share a SQLite log. Reports of each come in; answers for all of them go out. It is kept in a SQLite file of its own, beside the log: it
 * takes no lock of the log, and never waits for the disk where a publish does. A thread uses the file (worker.ts), and only while there are several processes (roster.ts). All of it may be deleted at any time.
 */

/** The share of the time to live that a lease has. The rest is for others to notice its end. */
const LEASE_SHARE = 0.5;

/** How often a lease is renewed, in the time of one. */
const RENEWALS_FACTOR = 3;

/** The share of a lease that the roster has: nobody waits for a gone process after its records have ended. */
const ROSTER_SHARE = 0.5;

/** How often this process looks for others, and renews its lease: at most. */
const ROSTER_LOOK_MS = 1_000;

/** How often it looks while one of them has not written everything yet. */
const ROSTER_HURRY_MS = 100;

/** How long a look waits for the thread. It goes on looking at the roster. */
const SEEN_WAIT_MS = 1_000;

/** How long the end of the process waits for the thread. */
const PLACE_CLOSE_MS = 1_000;

/** Four writes a second, however many streams there are. Ten thousand changes take some three seconds. */
const TELLING: Telling = { everyMs: 250, maxEntries: 1_000, maxRequests: 1 };

export interface SqlitePresencePlaceOptions {
  /** The path of the log. */
  readonly file: string;
  /** The entries of a killed process count for this time at most. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** A lease under which this process tells, and the thread that it was begun in. */
interface Lease {
  readonly number: number;
  readonly thread: PlaceThread;
}

export class SqlitePresencePlace implements PresencePlace {
  readonly telling = TELLING;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #leaseMs: number;
  readonly #lookMs: number;
  #file = '';
  #listener: PlaceListener | undefined;
  #roster: Roster | undefined;
  /** The other processes, when the roster was last looked at. */
  #others: readonly string[] = [];
  /** Processes that have not reported everything yet. */
  #untold: readonly string[] = [];
  /** When the roster and the leases were last seen. */
  #rosterAt = -Infinity;
  #seenAt = -Infinity;
  /** Runs while there are others. */
  #thread: PlaceThread | undefined;
  #lease: Lease | undefined;
  #isActive = false;
  #isSweeping = false;
  #isSeeing = false;
  #isClosed = false;
  #said: 'alone' | 'shared' | 'away' = 'alone';
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor({ file, ttlMs, clock, logger }: SqlitePresencePlaceOptions) {
    this.#path = file;
    this.#clock = clock;
    this.#logger = logger;
    this.#leaseMs = Math.round(ttlMs * LEASE_SHARE);
    this.#lookMs = Math.min(ROSTER_LOOK_MS, this.#leaseMs / RENEWALS_FACTOR);
  }

  /** A process that was frozen does not know what has happened meanwhile. */
  get isAlone(): boolean {
    return this.#thread === undefined && this.#others.length === 0 && this.#isRecent(this.#rosterAt);
  }

  get isUp(): boolean {
    return this.#isActive && this.#untold.length === 0 && this.#isRecent(this.#seenAt) && !this.#isClosed;
  }

  join(logId: string, listener: PlaceListener): void {
    this.#listener = listener;
    // Processes may name the log by different paths.
    const folder = `${realpathSync(this.#path)}-presence`;
    this.#file = joinPath(folder, `${logId}.db`);
    this.#roster = new Roster({ folder, logId, leaseMs: this.#leaseMs * ROSTER_SHARE });
    try {
      this.#others = this.#roster.enter();
      this.#untold = this.#others;
      this.#rosterAt = this.#clock.monotonic();
    } catch (error) {
      this.#failed(error);
    }
    this.#lookIn(0);
  }

  async write(changes: readonly PresenceChange[]): Promise<void> {
    const lease = this.#begun;
    this.#ifHeld(lease, await this.#call(lease.thread, 'write', { lease: lease.number, changes }));
  }

  async activate(): Promise<void> {
    const lease = this.#begun;
    this.#ifHeld(lease, await this.#call(lease.thread, 'activate', { lease: lease.number, leaseMs: this.#leaseMs }));
    if (lease !== this.#lease) throw new PlaceAway();
    this.#isActive = true;
    this.#say('shared');
    this.#lookIn(0);
  }

  page(topic: string, after: string, limit: number): Promise<PresencePage> {
    return this.#ask('page', { topic, after, limit });
  }

  counts(topics: readonly string[]): Promise<readonly PresenceCount[]> {
    return this.#ask('counts', { topics });
  }

  topicsOf(member: string, after: string, limit: number): Promise<MemberPage> {
    return this.#ask('topicsOf', { member, after, limit });
  }

  changes(after: number): Promise<PresenceChanges> {
    return this.#ask('changes', { after });
  }

  async close(lingerMs: number): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const lease = this.#lease;
    const isTold = lease === undefined || !this.#isActive ? Promise.resolve() : this.#call(lease.thread, 'end', { lease: lease.number, lingerMs }).catch(awayOnly);
    await within(this.#clock, PLACE_CLOSE_MS, Promise.all([isTold.then(() => this.#thread?.close()), this.#looking]));
    await this.#roster?.leave().catch((error: unknown) => this.#logger.warn({ reason: reasonOf(error) }, 'this process could not be taken off the list of those on this log: the others miss it for a while'));
  }

  get #begun(): Lease {
    const lease = this.#lease;
    if (lease === undefined || this.#isClosed) throw new PlaceAway();
    return lease;
  }

  #isRecent(at: number): boolean {
    return this.#clock.monotonic() - at < this.#leaseMs;
  }

  #lookIn(milliseconds: number): void {
    this.#timer?.cancel();
    if (!this.#isClosed) this.#timer = this.#clock.after(milliseconds, () => void (this.#looking = this.#look()));
  }

  /** Looks who else is there, and does what follows. */
  async #look(): Promise<void> {
    const began = this.#clock.monotonic();
    const wasAlone = this.isAlone;
    try {
      this.#others = await this.#roster!.look();
      this.#rosterAt = began;
      if (this.#isClosed) return;
      if (this.#thread?.hasEnded === true) this.#thread = undefined;
      if (this.#others.length > 0) await this.#share();
      const thread = this.#thread;
      if (thread !== undefined) await within(this.#clock, SEEN_WAIT_MS, this.#see(thread));
    } catch (error) {
      this.#failed(error);
    }
    if (this.#isClosed) return;
    if (this.isAlone) {
      if (!wasAlone) this.#listener!.alone();
      this.#say('alone');
    }
    this.#lookIn(this.#isWaiting ? Math.min(ROSTER_HURRY_MS, this.#lookMs) : this.#lookMs);
  }

  /** Whether the missing reports are about to come. */
  get #isWaiting(): boolean {
    return this.#said !== 'away' && this.#thread !== undefined && (!this.#isActive || this.#untold.length > 0);
  }

  /** An error of the folder, or of the thread that has the file. The next look finds out whether it is still so. */
  #failed(error: unknown): void {
    if (!(error instanceof PlaceAway) && !(error instanceof Error && 'syscall' in error)) throw error;
    this.#rosterAt = -Infinity;
    this.#lost(reasonOf(error));
  }

  /** Begins to tell, where that is not so yet. */
  async #share(): Promise<void> {
    const thread = this.#thread ??= new PlaceThread({ file: this.#file });
    if (this.#lease !== undefined) return;
    const number = await this.#call(thread, 'begin', { process: this.#roster!.name, leaseMs: this.#leaseMs });
    if (this.#isClosed) return;
    this.#lease = { number, thread };
    this.#listener!.begin();
  }

  /** Renews the lease, and looks who else has one. */
  async #see(thread: PlaceThread): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined && this.#others.length === 0) this.#endThread(thread);
    if (lease === undefined || this.#isSeeing) return;
    this.#isSeeing = true;
    try {
      const began = this.#clock.monotonic();
      const { isAlive, told, ended, hasOthers } = await this.#call(thread, 'look', { lease: lease.number, leaseMs: this.#leaseMs });
      if (lease !== this.#lease || this.#isClosed) return;
      this.#seenAt = began;
      this.#untold = this.#others.filter((name) => !told.includes(name));
      if (!isAlive) this.#ended(lease);
      else if (this.#others.length === 0 && !hasOthers) this.#endThread(thread);
      else if (ended.length > 0) void this.#sweep(thread, ended);
    } catch (error) {
      if (!(error instanceof PlaceAway)) throw error;
    } finally {
      this.#isSeeing = false;
    }
  }

  /** Removes the entries of processes whose leases have ended. Several may do so side by side. */
  async #sweep(thread: PlaceThread, ended: readonly number[]): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    try {
      for (const lease of ended) while (await this.#call(thread, 'sweep', { lease }));
    } catch (error) {
      if (!(error instanceof PlaceAway)) throw error;
    } finally {
      this.#isSweeping = false;
    }
  }

  /** The others are gone, and so are their records. The next process that comes sweeps the records of this one. */
  #endThread(thread: PlaceThread): void {
    this.#thread = undefined;
    this.#forget();
    void thread.close();
  }

  #ask<Name extends Call>(name: Name, argument: Calls[Name]['argument']): Promise<Calls[Name]['value']> {
    if (!this.isUp) return Promise.reject(new PlaceAway());
    return this.#call(this.#begun.thread, name, argument);
  }

  async #call<Name extends Call>(thread: PlaceThread, name: Name, argument: Calls[Name]['argument']): Promise<Calls[Name]['value']> {
    try {
      return await thread.call(name, argument);
    } catch (error) {
      if (thread === this.#thread) this.#lost(reasonOf(error));
      throw error;
    }
  }

  /** Throws where a lease has ended: this process was silent for too long, and others may have swept it away. */
  #ifHeld(lease: Lease, isHeld: boolean): void {
    if (isHeld) return;
    this.#ended(lease);
    throw new PlaceAway('the lease has ended');
  }

  #ended(lease: Lease): void {
    if (this.#lease !== lease || this.#isClosed) return;
    this.#forget();
    this.#listener!.lost();
    this.#lookIn(0);
  }

  #lost(reason: string): void {
    if (this.#isClosed) return;
    this.#forget();
    this.#listener!.lost();
    this.#say('away', reason);
  }

  #forget(): void {
    this.#lease = undefined;
    this.#isActive = false;
    this.#seenAt = -Infinity;
  }

  #say(what: 'alone' | 'shared' | 'away', reason?: string): void {
    if (this.#isClosed || this.#said === what) return;
    this.#said = what;
    if (what === 'shared') this.#logger.info('presence covers all processes on this log');
    else if (what === 'alone') this.#logger.info('presence covers this process: no other is on this log');
    else this.#logger.warn({ reason }, 'presence cannot be sent to other processes: each answers with its own knowledge, marked partial');
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function awayOnly(error: unknown): undefined {
  if (!(error instanceof PlaceAway)) throw error;
  return undefined;
}
