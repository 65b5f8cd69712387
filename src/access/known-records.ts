import { StoreClock } from '../log/store-clock.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { ANYBODY, FairShares, type Holder, type Holding, type Share } from '../runtime/fair-shares.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError } from '../store/store.ts';

/**
 * How long an instance believes a row that it has read, while the list of changes is fresh. Stops a change that the list left out, as after
 * the restore of a backup, from being missed for longer.
 */
const KEPT_MS = 60_000;

/** Rows held in memory. Stops many from filling it; those used longest ago go first. */
export const KEPT_ENTRIES = 10_000;

/** How old the list of changes may be while a row is believed. Bounds how late a revocation counts everywhere. Polling is more frequent. */
const FRESH_MS = 3_000;

/** How long a request waits for the database to say whether its credential is good. Stops a database that hangs from keeping requests, and clients that gave up from filling the queue. */
const ASK_MAX_MS = 3_000;

/** Questions that wait for their turn. Stops a flood of unknown ids from holding memory: beyond it the client that asks most gets no answer to its last. */
const WAITING_MAX_ENTRIES = 10_000;

/** Which rows have changed since a version, as `KeyChanges` says it. */
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
export interface RecordSource<Item> {
  /** Their name in log lines: `keys`. */
  readonly name: string;
  readonly changes: (after: number) => Promise<Changes>;
  /** The most ids of one question. */
  readonly findMax: number;
  readonly find: (ids: readonly string[]) => Promise<readonly Item[]>;
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

interface Question<Item> extends Holding {
  readonly id: string;
  /** The client that asks. */
  readonly holder: Holder;
  /** Whether a row replaces the known one. */
  readonly isKept: (record: Item) => boolean;
  readonly answer: (record: Item | undefined) => void;
  readonly fail: (error: unknown) => void;
}

const ANY = (): boolean => true;

/** A credential cannot be checked now: too many questions wait, or the database does not answer. */
export class CredentialsUnavailable extends Error {
  override name = 'CredentialsUnavailable';
}

/**
 * Waits for an answer of the database about credentials. Rejects with `CredentialsUnavailable` if it fails or comes too late.
 * @param name The kind of record, for messages: `keys`.
 */
export async function inTime<Answer>(clock: Clock, name: string, answer: Promise<Answer>): Promise<Answer> {
  const late = Promise.withResolvers<never>();
  const timer = clock.after(ASK_MAX_MS, () => late.reject(new CredentialsUnavailable(`the database did not answer within ${ASK_MAX_MS / 1000} seconds`)));
  try {
    return await Promise.race([answer, late.promise]);
  } catch (error) {
    throw error instanceof StoreError ? new CredentialsUnavailable(`the database cannot be asked for ${name}: ${error.message}`, { cause: error }) : error;
  } finally {
    timer.cancel();
  }
}

/**
 * The keys, or the sessions, that an instance has seen. It polls the list of changes and drops what changed. So a credential in use costs no query, and every instance refuses
 * one that was ended after a polling interval at most.
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
  /** Lookups that wait for their turn; clients take turns. */
  readonly #questions: FairShares<Question<Item>>;
  readonly #waiting = new Map<Question<Item>, Share>();
  #isAsking = false;
  /** Ids that changed while a question for them was under way; `all` if they are not known one by one. */
  #changedMeanwhile: ReadonlySet<string> | 'all' = new Set();
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
    this.#questions = new FairShares({ gate: 'credentials', counters });
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
   * The row of an id, at once where it is known. Rejects with `CredentialsUnavailable`.
   * @param from The client that asks.
   */
  find(id: string, from = (): Holder => ANYBODY): Item | undefined | Promise<Item | undefined> {
    const entry = this.#entries.get(id);
    if (entry === undefined || !this.isFresh || this.#clock.monotonic() - entry.asked > KEPT_MS) return this.#inTime(this.#ask(id, ANY, from()));
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry.record;
  }

  /**
   * The row of an id as the database has it, because the one that is known does not fit: another instance may have changed it. Rejects with `CredentialsUnavailable`.
   * @param fits Only a row that fits replaces the known one. So wrong secrets cause no work.
   * @param from The client that asks.
   */
  findAgain(id: string, fits: (record: Item) => boolean, from = (): Holder => ANYBODY): Promise<Item | undefined> {
    return this.#inTime(this.#ask(id, fits, from()));
  }

  /** The row as this instance last read it, however old. Metrics use it, because they must not wait for the database. */
  recall(id: string): Item | undefined {
    return this.#entries.get(id)?.record;
  }

  /** Makes the known rows fresh, so that they can be believed without `find`. Rejects with `CredentialsUnavailable`. */
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
    if (changed === undefined) {
      this.#entries.clear();
      this.#changedMeanwhile = 'all';
    } else {
      for (const id of changed) this.#entries.delete(id);
      if (this.#changedMeanwhile !== 'all' && changed.length > 0) this.#changedMeanwhile = new Set([...this.#changedMeanwhile, ...changed]);
    }
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
      if (!this.#isFailing) this.logger.warn({ err: error }, `it cannot be asked which ${this.#source.name} have changed: until that is possible again, none is accepted`);
      this.#isFailing = true;
    }
    if (!this.#isStopped) this.#schedule();
  }

  #ask(id: string, isKept: Question<Item>['isKept'], holder: Holder): Promise<Item | undefined> {
    const tooMany = (): Error => new CredentialsUnavailable(`too many ${this.#source.name} are being looked up`);
    if (this.#waiting.size >= WAITING_MAX_ENTRIES && !this.#questions.makeRoom(holder, 1)) return Promise.reject(tooMany());
    return new Promise((answer, fail) => {
      const question: Question<Item> = { id, holder, isKept, answer, fail, takeBack: () => {
        this.#waiting.delete(question);
        fail(tooMany());
      } };
      this.#wait(question);
      if (!this.#isAsking) void this.#askAll();
    });
  }

  #wait(question: Question<Item>): void {
    this.#waiting.set(question, this.#questions.hold(question.holder, 1, question));
  }

  #take(count: number): Question<Item>[] {
    const taken: Question<Item>[] = [];
    while (taken.length < count) {
      const next = this.#questions.next();
      if (next === undefined) break;
      this.#waiting.get(next)!.release();
      this.#waiting.delete(next);
      taken.push(next);
    }
    return taken;
  }

  /** Runs one query after the other, each for all questions that wait. */
  async #askAll(): Promise<void> {
    this.#isAsking = true;
    // The questions of one turn are asked together.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const asking = this.#take(this.#source.findMax);
      try {
        if (!this.isFresh) await this.look();
        this.#changedMeanwhile = new Set();
        const asked = this.#clock.monotonic();
        const records = new Map((await this.#source.find([...new Set(asking.map(({ id }) => id))])).map((record) => [record.id, record]));
        for (const question of asking) {
          const { id, isKept, answer } = question;
          const record = records.get(id);
          // The row may be older than a change that the list showed meanwhile.
          if (this.#hasChangedMeanwhile(id)) this.#wait(question);
          else {
            if (record !== undefined && isKept(record)) this.#keep(id, { record, asked });
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

  #keep(id: string, entry: Entry<Item>): void {
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    if (this.#entries.size > KEPT_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
  }
}
