import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { type Charge, type Evictable, FairShares, type Holder } from '../../runtime/sharing/fair-shares.ts';
import { CredentialsUnavailable } from './credentials-unavailable.ts';

/** Questions that wait for their turn. Stops a flood of unknown ids from holding memory: beyond it the client that asks most gets no answer to its last. */
const WAITING_MAX_ENTRIES = 10_000;

/** Where rows are found. */
export interface RecordTable<Item> {
  /** Their name in messages: `keys`. */
  readonly name: string;
  /** The most ids of one question. */
  readonly findMax: number;
  readonly find: (ids: readonly string[]) => Promise<readonly Item[]>;
}

interface Question<Item> extends Evictable {
  readonly id: string;
  /** Who asks. */
  readonly holder: Holder;
  /** Whether a row replaces the known one. */
  readonly isKept: (record: Item) => boolean;
  readonly answer: (record: Item | undefined) => void;
  readonly fail: (error: unknown) => void;
}

export interface RecordLookupsDependencies<Item> {
  readonly source: RecordTable<Item>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'evicted'>;
  /** Learns what has changed, if that was long ago: called before each query. */
  readonly freshen: () => Promise<void>;
  /** @param asked When the row was asked for, by the monotonic clock. */
  readonly keep: (record: Item, asked: number) => void;
}

/**
 * Looks up the rows of credentials that an instance does not know. Requests of one turn share a query, and one query runs at a time. Clients take turns, so a flood of unknown ids from one client makes
 * nobody wait for long. A row that changed while it was asked for is asked for again.
 */
export class RecordLookups<Item extends { readonly id: string }> {
  readonly #source: RecordTable<Item>;
  readonly #clock: Clock;
  readonly #freshen: RecordLookupsDependencies<Item>['freshen'];
  readonly #keep: RecordLookupsDependencies<Item>['keep'];
  /** Lookups that wait for their turn; clients take turns. */
  readonly #questions: FairShares<Question<Item>>;
  readonly #waiting = new Map<Question<Item>, Charge>();
  #isAsking = false;
  /** Ids that changed while a question for them was under way; `all` where nobody knows which did. */
  #changedMeanwhile: ReadonlySet<string> | 'all' = new Set();

  constructor({ source, clock, counters, freshen, keep }: RecordLookupsDependencies<Item>) {
    this.#source = source;
    this.#clock = clock;
    this.#freshen = freshen;
    this.#keep = keep;
    this.#questions = new FairShares({ gate: 'credentials', counters });
  }

  /** Rows have changed; undefined: any may have. Answers that are under way may be older. */
  changed(ids: readonly string[] | undefined): void {
    if (ids === undefined) this.#changedMeanwhile = 'all';
    else if (this.#changedMeanwhile !== 'all' && ids.length > 0) this.#changedMeanwhile = new Set([...this.#changedMeanwhile, ...ids]);
  }

  /**
   * The row of an id as the database has it. Rejects with `CredentialsUnavailable`, or with the database's error.
   * @param isKept Which rows are kept. Others are only answered.
   */
  ask(id: string, isKept: Question<Item>['isKept'], holder: Holder): Promise<Item | undefined> {
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
    this.#waiting.set(question, this.#questions.charge(question.holder, 1, question));
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

  /** One query after the other, each for as many as wait. */
  async #askAll(): Promise<void> {
    this.#isAsking = true;
    // The questions of one turn are asked together.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const asking = this.#take(this.#source.findMax);
      try {
        await this.#freshen();
        this.#changedMeanwhile = new Set();
        const asked = this.#clock.monotonic();
        const records = new Map((await this.#source.find([...new Set(asking.map(({ id }) => id))])).map((record) => [record.id, record]));
        for (const question of asking) {
          const { id, isKept, answer } = question;
          const record = records.get(id);
          // The row may be from before a change that the list told meanwhile.
          if (this.#hasChangedMeanwhile(id)) this.#wait(question);
          else {
            if (record !== undefined && isKept(record)) this.#keep(record, asked);
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
}
