import { StoreClock } from '../log/store-clock.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { FIND_MAX_KEYS, NOTE_MAX_KEYS, type KeyChanges, type KeyRecord, type KeyStore } from '../store/key-store.ts';
import { StoreError } from '../store/store.ts';
import type { KnownRevocations } from './known-revocations.ts';

/**
 * What an instance believes of a key without a look at its row, as long as the list of changes is fresh. Stops a change that the list left out, as after
 * the restore of a backup, from being missed for longer.
 */
const KEY_KEPT_MS = 60_000;

/** Keys held in memory. Stops many keys from filling it; those used longest ago go first. */
const KEPT_KEYS = 10_000;

/** How old the list of changes may be while a key is believed: so late a revocation counts everywhere. Polling is more frequent. */
const FRESH_MS = 3_000;

/** How long a request waits for the database to say whether its key is good. Stops a database that hangs from keeping requests, and clients that gave up from filling the queue. */
const ASK_MAX_MS = 3_000;

/** Questions for keys that wait for their turn. Stops a flood of unknown keys from holding memory. */
const WAITING_MAX_KEYS = 10_000;

/** How many changed keys a log line names. Stops a line from being long. */
const NAMED_MAX_KEYS = 20;

/** How often it is written down which keys were used. Stops each use from being a write. */
const NOTE_USE_MS = 60_000;

export interface KnownKeysDependencies {
  readonly store: KeyStore;
  /** Are kept true together with the keys: the list of changes tells of both. */
  readonly revocations: Pick<KnownRevocations, 'follow'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
  readonly pollMs: number;
}

interface Entry {
  readonly record: KeyRecord;
  /** When its row was asked for, by the monotonic clock. */
  readonly asked: number;
}

interface Question {
  readonly id: string;
  readonly answer: (record: KeyRecord | undefined) => void;
  readonly fail: (error: unknown) => void;
}

/** Is told of each change of keys that an instance hears of. */
export interface KeyWatcher {
  /** @param ids Undefined: any key may have changed. */
  keysChanged(ids: readonly string[] | undefined): void;
}

/** It cannot be said now whether a key is good: too many questions wait, or the database does not answer. */
export class KeysUnavailable extends Error {
  override name = 'KeysUnavailable';
}

/**
 * The keys that an instance has seen. It polls the list of changes and drops what changed. So a key in use costs no query, and every instance refuses a revoked key after a
 * polling interval at most.
 *
 * A key is believed while its row is younger than `KEY_KEPT_MS` and the list of changes younger than `FRESH_MS`. Otherwise the database is asked first, and while it does not answer, no key is good.
 */
export class KnownKeys {
  readonly #store: KeyStore;
  readonly #revocations: Pick<KnownRevocations, 'follow'>;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'warn' | 'info'>;
  readonly #pollMs: number;
  /** The database's clock: a key ends by it on all instances. */
  readonly #storeClock: StoreClock;
  /** In the order in which they were used. */
  readonly #entries = new Map<string, Entry>();
  #version: number | undefined;
  #hasBeen = false;
  /** When the newest list of changes was asked for, by the monotonic clock. */
  #looked = -Infinity;
  #looking: Promise<void> | undefined;
  readonly #questions: Question[] = [];
  #isAsking = false;
  /** Ids that changed while a question for them was under way; `all` where nobody knows which did. */
  #changedMeanwhile: ReadonlySet<string> | 'all' = new Set();
  readonly #used = new Set<string>();
  #lastNoted: number;
  #watcher: KeyWatcher | undefined;
  #timer: Timer | undefined;
  #isStopped = false;
  #isFailing = false;

  constructor({ store, revocations, clock, logger, pollMs }: KnownKeysDependencies) {
    this.#store = store;
    this.#revocations = revocations;
    this.#clock = clock;
    this.#logger = logger;
    this.#pollMs = pollMs;
    this.#storeClock = new StoreClock(clock);
    this.#lastNoted = clock.monotonic();
  }

  /** Looks for the first time, and then again and again. Rejects with a `StoreError`, and may be called again then. */
  async open(): Promise<void> {
    await this.look();
    if (this.#timer === undefined && !this.#isStopped) this.#schedule();
  }

  /** Tells somebody of each change from now on. */
  watch(watcher: KeyWatcher): void {
    this.#watcher = watcher;
  }

  /** Whether there has ever been a key in this log, as far as this process has heard; undefined before the first look. Losing the keys, as by the restore of a backup, does not open a log again. */
  get hasBeenHeardOf(): boolean | undefined {
    return this.#version === undefined ? undefined : this.#hasBeen;
  }

  /** The same, as long as nobody can have made the first key meanwhile; otherwise undefined, and `askEverBeen` finds it out. */
  get hasEverBeen(): boolean | undefined {
    return this.#hasBeen || this.isFresh ? this.#hasBeen : undefined;
  }

  /** Rejects with `KeysUnavailable`. */
  async askEverBeen(): Promise<boolean> {
    await this.refresh();
    return this.#hasBeen;
  }

  /** Asks for changes, for what cannot be believed without. Rejects with `KeysUnavailable`. */
  async refresh(): Promise<void> {
    await this.#bounded(this.look());
  }

  /** The database's clock: milliseconds since 1970. */
  now(): number {
    return this.#storeClock.now();
  }

  /** The key of an id, at once where it is known. Rejects with `KeysUnavailable`. */
  find(id: string): KeyRecord | undefined | Promise<KeyRecord | undefined> {
    const entry = this.#entries.get(id);
    if (entry === undefined || !this.isFresh || this.#clock.monotonic() - entry.asked > KEY_KEPT_MS) return this.#bounded(this.#ask(id));
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry.record;
  }

  /** What was last heard of a key, however long ago: for what must not wait for the database, such as metrics. */
  recall(id: string): KeyRecord | undefined {
    return this.#entries.get(id)?.record;
  }

  /** The key was good for a request. */
  noteUse(id: string): void {
    if (this.#used.size < KEPT_KEYS) this.#used.add(id);
  }

  /** Asks for changes now: so does a change that this instance made itself, or heard of. */
  async look(): Promise<void> {
    // One that is under way may have begun before what the caller has in mind.
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

  /** Whether what is known of keys and revocations is new enough to be believed. */
  get isFresh(): boolean {
    return this.#clock.monotonic() - this.#looked <= FRESH_MS;
  }

  /** The answer, if the database gives it in time. Rejects with `KeysUnavailable`. */
  async #bounded<Answer>(answer: Promise<Answer>): Promise<Answer> {
    const late = Promise.withResolvers<never>();
    const timer = this.#clock.after(ASK_MAX_MS, () => late.reject(new KeysUnavailable(`the database did not answer within ${ASK_MAX_MS / 1000} seconds`)));
    try {
      return await Promise.race([answer, late.promise]);
    } catch (error) {
      throw error instanceof StoreError ? new KeysUnavailable(`the database cannot be asked for keys: ${error.message}`, { cause: error }) : error;
    } finally {
      timer.cancel();
    }
  }

  async #look(): Promise<void> {
    const asked = this.#clock.monotonic();
    const changes = await this.#store.keyChanges(this.#version ?? 0);
    await this.#revocations.follow(changes.revocations);
    this.#take(changes, asked);
  }

  #take({ version, changed, now }: KeyChanges, asked: number): void {
    this.#storeClock.observe(now);
    const before = this.#version;
    this.#version = version;
    this.#hasBeen ||= version > 0;
    this.#looked = asked;
    if (before !== undefined && version < before) {
      this.#logger.warn({ audit: 'keys-lost', before, version }, 'the database has lost changes of API keys, as a restored backup has: keys that were revoked since may be good again');
    } else if (before !== undefined && before !== version) {
      // The audit line of every instance: a change made by the command line has no other.
      this.#logger.info({ audit: 'keys-changed', keys: changed?.slice(0, NAMED_MAX_KEYS), count: changed?.length, version }, before === 0 ? 'the first API key was made: unless AUTH=off, requests take a credential from now on' : 'API keys were changed');
    }
    if (changed === undefined) {
      this.#entries.clear();
      this.#changedMeanwhile = 'all';
    } else {
      for (const id of changed) this.#entries.delete(id);
      if (this.#changedMeanwhile !== 'all' && changed.length > 0) this.#changedMeanwhile = new Set([...this.#changedMeanwhile, ...changed]);
    }
    if (changed === undefined || changed.length > 0) this.#watcher?.keysChanged(changed);
  }

  #schedule(): void {
    this.#timer = this.#clock.after(this.#pollMs, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    try {
      await this.look();
      if (this.#clock.monotonic() - this.#lastNoted >= NOTE_USE_MS) await this.#noteUses();
      this.#isFailing = false;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#isFailing) this.#logger.warn({ err: error }, 'it cannot be asked which keys have changed: until that is possible again, keys are not accepted');
      this.#isFailing = true;
    }
    if (!this.#isStopped) this.#schedule();
  }

  async #noteUses(): Promise<void> {
    this.#lastNoted = this.#clock.monotonic();
    const ids = [...this.#used];
    this.#used.clear();
    for (let from = 0; from < ids.length; from += NOTE_MAX_KEYS) await this.#store.noteUse(ids.slice(from, from + NOTE_MAX_KEYS));
  }

  #ask(id: string): Promise<KeyRecord | undefined> {
    if (this.#questions.length >= WAITING_MAX_KEYS) return Promise.reject(new KeysUnavailable('too many keys are being looked up'));
    return new Promise((answer, fail) => {
      this.#questions.push({ id, answer, fail });
      if (!this.#isAsking) void this.#askAll();
    });
  }

  /** One query after the other, each for as many as wait. */
  async #askAll(): Promise<void> {
    this.#isAsking = true;
    // Those of this turn are asked together.
    await Promise.resolve();
    while (this.#questions.length > 0) {
      const asking = this.#questions.splice(0, FIND_MAX_KEYS);
      try {
        if (!this.isFresh) await this.look();
        this.#changedMeanwhile = new Set();
        const asked = this.#clock.monotonic();
        const records = new Map((await this.#store.findKeys([...new Set(asking.map(({ id }) => id))])).map((record) => [record.id, record]));
        for (const question of asking) {
          const { id, answer } = question;
          const record = records.get(id);
          // The row may be from before a change that the list told meanwhile.
          if (this.#hasChangedMeanwhile(id)) this.#questions.push(question);
          else {
            if (record !== undefined) this.#keep(id, { record, asked });
            answer(record);
          }
        }
      } catch (error) {
        for (const { fail } of asking) fail(error);
      }
    }
    this.#isAsking = false;
  }

  #hasChangedMeanwhile(id: string): boolean {
    return this.#changedMeanwhile === 'all' || this.#changedMeanwhile.has(id);
  }

  #keep(id: string, entry: Entry): void {
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    if (this.#entries.size > KEPT_KEYS) this.#entries.delete(this.#entries.keys().next().value!);
  }
}
