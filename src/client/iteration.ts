import type { Message } from './api.ts';
import type { Consumer, Reading } from './reading.ts';

/** The most messages that wait for a loop. Stops a slow loop from filling the memory: beyond it, the subscription falls behind and reads from the log. */
const WAITING_MAX_MESSAGES = 100;

/** The queue between a subscription, which calls `take`, and a loop, which reads `messages`. */
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

  /** Resolves once the queue is empty, or the subscription has ended. */
  async room(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isOver) await new Promise<void>((resolve) => {
      this.#wakeSubscription = resolve;
    });
  }

  /** Yields the queued messages; after the last one it waits, returns, or throws `Reading.failure`. */
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

/** The queue of each loop. The loop or its subscription makes it, depending on which runs first. */
const iterations = new WeakMap<Reading, Iteration>();

export function iterationOf(reading: Reading): Iteration {
  const iteration = iterations.get(reading) ?? new Iteration(reading);
  iterations.set(reading, iteration);
  reading.consumer = iteration;
  return iteration;
}

/** The messages of a subscription, for `for await`. Leaving the loop ends the subscription. */
export async function* iterate(reading: Reading): AsyncGenerator<Message> {
  try {
    yield* iterationOf(reading).messages();
  } finally {
    reading.unsubscribe();
  }
}
