import type { Message } from './api.ts';
import type { Consumer, Reading } from './reading.ts';

/** How many messages wait for a loop. Stops a slow one from filling the memory: it reads the others from the log. */
const WAITING_MAX_MESSAGES = 100;

/** What stands between a subscription and a loop. */
class Iteration implements Consumer {
  readonly #reading: Reading;
  readonly #waiting: Message[] = [];
  #handed: string | undefined;
  #wakeLoop: () => void = () => undefined;
  #wakeSubscription: () => void = () => undefined;

  constructor(reading: Reading) {
    this.#reading = reading;
    reading.signal.addEventListener('abort', () => this.end());
  }

  take(message: Message): boolean {
    this.#waiting.push(message);
    this.#wakeLoop();
    return this.#waiting.length < WAITING_MAX_MESSAGES;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  get #isOver(): boolean {
    return this.#reading.failure !== undefined || this.#reading.signal.aborted;
  }

  get handed(): string | undefined {
    return this.#handed;
  }

  end(): void {
    this.#wakeLoop();
    this.#wakeSubscription();
  }

  async room(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isOver) await new Promise<void>((resolve) => {
      this.#wakeSubscription = resolve;
    });
  }

  /** Messages taken before the end are handed out first. */
  async *messages(): AsyncGenerator<Message> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) {
        this.#handed = message.id;
        yield message;
        continue;
      }
      this.#wakeSubscription();
      if (this.#reading.failure !== undefined) throw this.#reading.failure;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wakeLoop = resolve;
      });
    }
  }
}

/** Each loop has one: it is made by the loop or by its subscription, as it comes. */
const iterations = new WeakMap<Reading, Iteration>();

export function iterationOf(reading: Reading): Iteration {
  const iteration = iterations.get(reading) ?? new Iteration(reading);
  iterations.set(reading, iteration);
  reading.consumer = iteration;
  return iteration;
}

/** A loop that is left ends its subscription. */
export async function* iterate(reading: Reading): AsyncGenerator<Message> {
  try {
    yield* iterationOf(reading).messages();
  } finally {
    reading.unsubscribe();
  }
}
