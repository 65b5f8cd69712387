import type { Clock } from '../clock.ts';
import { type Charge, type Evictable, FairShares, type FairSharesDependencies, type Holder, UNNAMED } from './fair-shares.ts';

/** The shortest time between the beginnings of two calls, so that under load each call gathers many questions. The first question after a pause does not wait. */
const GATHER_MS = 10;

/** The most waiting questions. Stops a flood of questions from filling the memory: beyond it, the client with the most questions loses its newest. */
const WAITING_MAX_ENTRIES = 10_000;

/** The most waiting questions with one key, if each needs a call of its own. Stops a client that repeats one question from filling the queue. */
const KEY_WAITING_MAX_ENTRIES = 100;

/** A question whose caller waits for the answer. */
interface Waiting<Question, Answer> extends Evictable {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatchesOptions<Question, Answer> extends Pick<FairSharesDependencies, 'gate' | 'counters'> {
  readonly clock: Clock;
  /** Answers many questions at once, in their order. */
  readonly call: (questions: readonly Question[]) => Promise<readonly Answer[]>;
  /** The most keys of one call. */
  readonly max: number;
  /** The key of a question. One call has at most one question with each key. */
  readonly keyOf: (question: Question) => string;
  /** Whether all waiting questions with one key get the same answer. Otherwise each goes into a later call, in their order. */
  readonly isShared: boolean;
  /** The error of a question that finds the queue full, or is evicted from it. */
  readonly tooMany: () => Error;
}

/** Combines questions into calls, so that concurrent questions cost one transaction. Calls run one after the other. Each takes the waiting questions, up to `max` keys. */
export class Batches<Question, Answer> {
  readonly #options: BatchesOptions<Question, Answer>;
  /** The waiting questions by their keys, in the order in which calls take them. */
  readonly #waiting = new Map<string, Waiting<Question, Answer>[]>();
  readonly #questions: FairShares<Waiting<Question, Answer>>;
  readonly #charges = new Map<Waiting<Question, Answer>, Charge>();
  #isAsking = false;
  /** The time at which the last call began, by the monotonic clock. */
  #calledAt = -Infinity;

  constructor(options: BatchesOptions<Question, Answer>) {
    this.#options = options;
    this.#questions = new FairShares(options);
  }

  /** @param holder The client that asks. */
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

  /** Waits until the next call may begin. Even without a wait, the `await` lets questions join that the running code asks next. */
  async #gather(): Promise<void> {
    const { clock } = this.#options;
    const wait = this.#calledAt + GATHER_MS - clock.monotonic();
    await (wait <= 0 ? undefined : new Promise<void>((done) => void clock.after(wait, done)));
    this.#calledAt = clock.monotonic();
  }

  /** Takes the questions of the next call: one list of callers for each key. */
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
