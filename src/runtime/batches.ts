/** Questions that wait for their turn. Stops a flood of them from holding memory. */
const WAITING_MAX_QUESTIONS = 10_000;

interface Waiting<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatchesOptions<Question, Answer> {
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

  constructor(options: BatchesOptions<Question, Answer>) {
    this.#options = options;
  }

  ask(question: Question): Promise<Answer> {
    if (this.#waiting.length >= WAITING_MAX_QUESTIONS) return Promise.reject(this.#options.tooMany());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
      if (!this.#isAsking) void this.#askAll();
    });
  }

  async #askAll(): Promise<void> {
    this.#isAsking = true;
    // Those of this turn are asked together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
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
