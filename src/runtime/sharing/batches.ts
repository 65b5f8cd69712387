import type { Clock } from '../clock.ts';
import { type Charge, type Evictable, FairShares, type FairSharesDependencies, type Holder, UNNAMED } from './fair-shares.ts';

/** The pause between two calls. When thousands of questions come in a second, a call gathers many; a single one waits for nothing. Milliseconds. */
const GATHER_MS = 10;

/** Questions that wait for their turn. Stops a flood of them from holding memory: beyond it the client that asks most gets no answer to its last. */
const WAITING_MAX_ENTRIES = 10_000;

/** Questions with one key that wait for calls of their own. Stops a client that repeats a question from keeping all others out. */
const KEY_WAITING_MAX_ENTRIES = 100;

interface Waiting<Question, Answer> extends Evictable {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatchesOptions<Question, Answer> extends Pick<FairSharesDependencies, 'gate' | 'counters'> {
  readonly clock: Clock;
  /** Answers in the order of the questions. */
  readonly call: (questions: readonly Question[]) => Promise<readonly Answer[]>;
  /** The most questions of one call. */
  readonly max: number;
  /** The key of a question: a call has each key once. */
  readonly keyOf: (question: Question) => string;
  /** Whether one answer is for all questions with a key that wait for it. Otherwise each of them has a call of its own, in their order. */
  readonly isShared: boolean;
  /** The error of a question that finds too many others waiting. */
  readonly tooMany: () => Error;
}

/** Questions that are asked together: one call after the other, each for as many questions as wait. So questions that come at the same time cost one transaction. */
export class Batches<Question, Answer> {
  readonly #options: BatchesOptions<Question, Answer>;
  /** By their keys. */
  readonly #waiting = new Map<string, Waiting<Question, Answer>[]>();
  readonly #questions: FairShares<Waiting<Question, Answer>>;
  readonly #charges = new Map<Waiting<Question, Answer>, Charge>();
  #isAsking = false;
  /** When the last call began, by the monotonic clock. */
  #called = -Infinity;

  constructor(options: BatchesOptions<Question, Answer>) {
    this.#options = options;
    this.#questions = new FairShares(options);
  }

  /** @param holder Who asks. */
  ask(question: Question, holder: Holder = UNNAMED): Promise<Answer> {
    const { keyOf, isShared, tooMany } = this.#options;
    const key = keyOf(question);
    if (!isShared && (this.#waiting.get(key)?.length ?? 0) >= KEY_WAITING_MAX_ENTRIES) return Promise.reject(tooMany());
    if (this.#charges.size >= WAITING_MAX_ENTRIES && !this.#questions.makeRoom(holder, 1)) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      const waiting: Waiting<Question, Answer> = { question, resolve, reject, takeBack: () => {
        this.#remove(key, waiting);
        reject(tooMany());
      } };
      const same = this.#waiting.get(key);
      if (same === undefined) this.#waiting.set(key, [waiting]);
      else same.push(waiting);
      this.#charges.set(waiting, this.#questions.charge(holder, 1, waiting));
      if (!this.#isAsking) void this.#askAll();
    });
  }

  #remove(key: string, waiting: Waiting<Question, Answer>): void {
    this.#charges.delete(waiting);
    const same = this.#waiting.get(key)!;
    same.splice(same.lastIndexOf(waiting), 1);
    if (same.length === 0) this.#waiting.delete(key);
  }

  async #askAll(): Promise<void> {
    this.#isAsking = true;
    while (this.#charges.size > 0) {
      await this.#gather();
      const asking = this.#take();
      try {
        const answers = await this.#options.call(asking.map(([first]) => first!.question));
        for (const [index, same] of asking.entries()) for (const { resolve } of same) resolve(answers[index]!);
      } catch (error) {
        for (const { reject } of asking.flat()) reject(error);
      }
    }
    this.#isAsking = false;
  }

  /** Items of this turn are asked together, at least. */
  async #gather(): Promise<void> {
    const { clock } = this.#options;
    const wait = this.#called + GATHER_MS - clock.monotonic();
    await (wait <= 0 ? undefined : new Promise<void>((done) => void clock.after(wait, done)));
    this.#called = clock.monotonic();
  }

  /** Callers that wait for the next call, by their questions. */
  #take(): readonly (readonly Waiting<Question, Answer>[])[] {
    const { max, isShared } = this.#options;
    const asking = [...this.#waiting].slice(0, max).map(([key, same]) => {
      const now = isShared ? same : same.splice(0, 1);
      this.#waiting.delete(key);
      // The other questions with this key go to the end of the queue.
      if (now !== same && same.length > 0) this.#waiting.set(key, same);
      return now;
    });
    for (const waiting of asking.flat()) {
      this.#charges.get(waiting)!.release();
      this.#charges.delete(waiting);
    }
    return asking;
  }
}
