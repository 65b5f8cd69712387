import type { Bus } from './bus.ts';

/** The bus of a single process: it has no other instance to tell. */
export class LocalBus implements Bus {
  readonly state = 'local';
  readonly receivers = undefined;

  join(): void {
    // No other instance publishes. If another process of this host stores a message, polling the log's head finds it.
  }

  publish(): void {
    // The instance that stored a message knows it already.
  }

  tell(): void {
    // There is no other instance to tell.
  }

  wake(): void {
    // There is no other instance.
  }

  async close(): Promise<void> {
    // Nothing was opened.
  }
}
