import type { Scope } from '../support/temp.ts';

/** What a test would do when it is over, for a program that is none: what was started last is stopped first. */
export class Teardowns implements Scope {
  readonly #handlers: (() => unknown)[] = [];

  teardown(handler: () => unknown): void {
    this.#handlers.push(handler);
  }

  async run(): Promise<void> {
    for (let handler = this.#handlers.pop(); handler !== undefined; handler = this.#handlers.pop()) await handler();
  }
}
