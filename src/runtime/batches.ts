import type { Clock } from './clock.ts';

/** A call comes so much later than the one before. When thousands of questions come in a second, it gathers many; one that comes alone waits for nothing. Milliseconds. */
const GATHER_MS = 10;

/** Questions that wait for their turn. Stops a flood of them from holding memory. */
const WAITING_MAX_ENTRIES = 10_000;

interface Waiting<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatchesOptions<Question, Answer> {
  readonly clock: Clock;
  /** Answers in the order of the questions. */
  readonly call: (questions: readonly Question[]) => Promise<readonly Answer[]>;
  /** The most questions of one call. */
  readonly max: number;
  /** What a call has once. */
  readonly keyOf: (question: Question) => string;
  /** The error of a question that finds too many others waiting. */
  readonly tooMany: () => Error;
}

/** Questions that are asked together: one call after the other, each for as many questions as wait. So questions that come at the same time cost one transaction. */
export class Batches<Question, Answer> {
  readonly #options: BatchesOptions<Question, Answer>;
  #waiting: Waiting<Question, Answer>[] = [];
  #isAsking = false;
  /** When the last call began, by the monotonic clock. */
  #called = -Infinity;

  constructor(options: BatchesOptions<Question, Answer>) {
    this.#options = options;
  }

  ask(question: Question): Promise<Answer> {
    if (this.#waiting.length >= WAITING_MAX_ENTRIES) return Promise.reject(this.#options.tooMany());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
      if (!this.#isAsking) void this.#askAll();
    });
  }

  async #askAll(): Promise<void> {
    this.#isAsking = true;
    while (this.#waiting.length > 0) {
      await this.#gather();
      const asking = this.#take();
      try {
        const answers = await this.#options.call(asking.map(({ question }) => question));
        for (const [index, { resolve }] of asking.entries()) resolve(answers[index]!);
      } catch (error) {
        for (const { reject } of asking) reject(error);
      }
    }
    this.#isAsking = false;
  }

  /** Those of this turn are asked together, at least. */
  async #gather(): Promise<void> {
    const { clock } = this.#options;
    const wait = this.#called + GATHER_MS - clock.monotonic();
    await (wait <= 0 ? undefined : new Promise<void>((done) => void clock.after(wait, done)));
    this.#called = clock.monotonic();
  }

  #take(): readonly Waiting<Question, Answer>[] {
    const { max, keyOf } = this.#options;
    const taken = new Map<string, Waiting<Question, Answer>>();
    const left: Waiting<Question, Answer>[] = [];
    for (const one of this.#waiting) {
      const key = keyOf(one.question);
      if (taken.size < max && !taken.has(key)) taken.set(key, one);
      else left.push(one);
    }
    this.#waiting = left;
    return [...taken.values()];
  }
}
