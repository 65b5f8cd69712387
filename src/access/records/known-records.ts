import { StoreClock } from '../../log/tail/store-clock.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { type Holder, UNNAMED } from '../../runtime/sharing/fair-shares.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError } from '../../store/store.ts';
import { inTime } from './credentials-unavailable.ts';
import { RecordLookups, type RecordTable } from './record-lookups.ts';

/**
 * This room caches the keys, sessions and revocations of the database. An id comes in, and its row goes out: from memory while the list of changes is
 * fresh, otherwise from the store. Many lookups share one call. Read `known-records.ts` first, then `known-keys.ts`.
 */

/**
 * How long a row is used before the instance reads it again, even if the list of changes is fresh. The list of a restored backup may lack a change:
 * after this time the instance notices it.
 */
const KEPT_MS = 60_000;

/** The most rows in memory. The least recently used row is evicted first. */
export const KEPT_ENTRIES = 10_000;

/** Cached rows are used only while the list of changes is younger than this. So a revocation takes effect everywhere within this time. Polling is more frequent. */
const FRESH_MS = 3_000;

/** The rows that have changed since a version, as in `KeyChanges`. */
export interface Changes {
  readonly version: number;
  readonly changed: readonly string[] | undefined;
  readonly now: number;
}

export interface KnownRecordsDependencies {
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
  readonly pollMs: number;
  readonly counters: Pick<Counters, 'evicted'>;
}

/** The rows in the database. */
export interface RecordSource<Item> extends RecordTable<Item> {
  readonly changes: (after: number) => Promise<Changes>;
}

/**
 * Receives each change that the instance learns.
 * @param ids Undefined: any row may have changed.
 */
export type ChangeWatcher = (ids: readonly string[] | undefined) => void;

interface Entry<Item> {
  readonly record: Item;
  /** When its row was asked for, by the monotonic clock. */
  readonly asked: number;
}

const ANY = (): boolean => true;

/**
 * The keys, or the sessions, that an instance has seen. It polls the list of changes and drops what changed. So a credential in use costs no query. After a
 * credential is revoked, every instance refuses it within one polling interval.
 *
 * A row is believed while it is younger than `KEPT_MS` and the list of changes younger than `FRESH_MS`. Otherwise the database is asked first, and while it does not answer, no credential is good.
 */
export abstract class KnownRecords<Item extends { readonly id: string }> {
  readonly #source: RecordSource<Item>;
  readonly #clock: Clock;
  protected readonly logger: Pick<Logger, 'warn' | 'info'>;
  readonly #pollMs: number;
  /** The database's clock: credentials end by it on all instances. */
  readonly #storeClock: StoreClock;
  /** In the order in which they were used. */
  readonly #entries = new Map<string, Entry<Item>>();
  #version: number | undefined;
  /** When the newest list of changes was asked for, by the monotonic clock. */
  #looked = -Infinity;
  #looking: Promise<void> | undefined;
  readonly #lookups: RecordLookups<Item>;
  #watcher: ChangeWatcher | undefined;
  #timer: Timer | undefined;
  #isStopped = false;
  #isFailing = false;

  constructor(source: RecordSource<Item>, { clock, logger, pollMs, counters }: KnownRecordsDependencies) {
    this.#source = source;
    this.#clock = clock;
    this.logger = logger;
    this.#pollMs = pollMs;
    this.#storeClock = new StoreClock(clock);
    this.#lookups = new RecordLookups({
      source, clock, counters,
      freshen: async () => {
        if (!this.isFresh) await this.look();
      },
      keep: (record, asked) => this.#keep(record.id, { record, asked }),
    });
  }

  /** Reads the list of changes, and polls it from then on. Rejects with a `StoreError`; then it may be called again. */
  async open(): Promise<void> {
    await this.look();
    if (this.#timer === undefined && !this.#isStopped) this.#schedule();
  }

  /** Calls the watcher with each change from now on. */
  watch(watcher: ChangeWatcher): void {
    this.#watcher = watcher;
  }

  /** The database's clock: milliseconds since 1970. */
  now(): number {
    return this.#storeClock.now();
  }

  /**
   * Returns the row of an id at once if it is cached and fresh, otherwise a promise. Rejects with `CredentialsUnavailable`.
   * @param from The client that asks.
   */
  find(id: string, from = (): Holder => UNNAMED): Item | undefined | Promise<Item | undefined> {
    const entry = this.#entries.get(id);
    if (entry === undefined || !this.isFresh || this.#clock.monotonic() - entry.asked > KEPT_MS) return this.#inTime(this.#lookups.ask(id, ANY, from()));
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry.record;
  }

  /**
   * The row of an id as the database has it, because the one that is known does not fit: another instance may have changed it. Rejects with `CredentialsUnavailable`.
   * @param fits The cache takes the row only if this accepts it. So a wrong secret causes a lookup, but does not change the cache.
   * @param from The client that asks.
   */
  findAgain(id: string, fits: (record: Item) => boolean, from = (): Holder => UNNAMED): Promise<Item | undefined> {
    return this.#inTime(this.#lookups.ask(id, fits, from()));
  }

  /** The row as this instance last read it, however old. Metrics use it, because they must not wait for the database. */
  recall(id: string): Item | undefined {
    return this.#entries.get(id)?.record;
  }

  /** Reads the list of changes. Afterwards `recall` is as good as `find`. Rejects with `CredentialsUnavailable`. */
  async refresh(): Promise<void> {
    await this.#inTime(this.look());
  }

  /** Whether the known rows are fresh enough to be believed. */
  get isFresh(): boolean {
    return this.#clock.monotonic() - this.#looked <= FRESH_MS;
  }

  /** Asks for changes now. Called after a change that this instance made, or learnt of from another. */
  async look(): Promise<void> {
    // A look under way may have begun before the change that the caller knows of.
    await this.#looking?.catch(() => undefined);
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** The newest version of the list; undefined before the first look. */
  protected get version(): number | undefined {
    return this.#version;
  }

  /** Called with each list of changes. */
  protected abstract heard(before: number | undefined, changes: Changes): void;

  /** Called with every poll. */
  protected async polled(): Promise<void> {
    // By default nothing.
  }

  #inTime<Answer>(answer: Promise<Answer>): Promise<Answer> {
    return inTime(this.#clock, this.#source.name, answer);
  }

  async #look(): Promise<void> {
    const asked = this.#clock.monotonic();
    this.#learn(await this.#source.changes(this.#version ?? 0), asked);
  }

  #learn(changes: Changes, asked: number): void {
    const { version, changed, now } = changes;
    this.#storeClock.observe(now);
    const before = this.#version;
    this.#version = version;
    this.#looked = asked;
    this.heard(before, changes);
    if (changed === undefined) this.#entries.clear();
    else for (const id of changed) this.#entries.delete(id);
    this.#lookups.changed(changed);
    if (changed === undefined || changed.length > 0) this.#watcher?.(changed);
  }

  #schedule(): void {
    this.#timer = this.#clock.after(this.#pollMs, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    try {
      await this.look();
      await this.polled();
      this.#isFailing = false;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#isFailing) this.logger.warn({ err: error }, `the database does not say which ${this.#source.name} have changed: after ${FRESH_MS / 1000} s without an answer, none is accepted`);
      this.#isFailing = true;
    }
    if (!this.#isStopped) this.#schedule();
  }

  #keep(id: string, entry: Entry<Item>): void {
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    if (this.#entries.size > KEPT_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
  }
}
