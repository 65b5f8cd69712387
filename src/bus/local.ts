import type { Bus } from './bus.ts';

/** The bus of a single process: there is nobody else to tell. */
export class LocalBus implements Bus {
  readonly state = 'local';

  join(): void {
    // Nobody else writes, so there is nothing to listen for; polling the head finds what another process of this host stores.
  }

  publish(): void {
    // The instance that stored a message knows of it already.
  }

  async close(): Promise<void> {
    // Nothing was opened.
  }
}
