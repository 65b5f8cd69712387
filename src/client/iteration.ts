import type { Message } from './api.ts';
import type { Consumer } from './subscription.ts';

/** How many messages wait for a loop. Stops a slow one from filling the memory: it reads the others from the log. */
const WAITING_MAX_MESSAGES = 100;

/** What stands between a subscription and a loop. */
export class Iteration implements Consumer {
  readonly #waiting: Message[] = [];
  #handed: string | undefined;
  #end: { readonly error?: Error } | undefined;
  #wakeLoop: () => void = () => undefined;
  #wakeSubscription: () => void = () => undefined;

  take(message: Message): boolean {
    this.#waiting.push(message);
    this.#wakeLoop();
    return this.#waiting.length < WAITING_MAX_MESSAGES;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  get handed(): string | undefined {
    return this.#handed;
  }

  async room(): Promise<void> {
    while (this.#waiting.length > 0 && this.#end === undefined) await new Promise<void>((resolve) => {
      this.#wakeSubscription = resolve;
    });
  }

  /** What was taken before is handed out first. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wakeLoop();
    this.#wakeSubscription();
  }

  /** @param leave Called when the loop is left. */
  async *messages(leave: () => void): AsyncGenerator<Message> {
    try {
      yield* this.#all();
    } finally {
      leave();
    }
  }

  async *#all(): AsyncGenerator<Message> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) {
        this.#handed = message.id;
        yield message;
        continue;
      }
      this.#wakeSubscription();
      if (this.#end?.error !== undefined) throw this.#end.error;
      if (this.#end !== undefined) return;
      await new Promise<void>((resolve) => {
        this.#wakeLoop = resolve;
      });
    }
  }
}
