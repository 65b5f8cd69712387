import type { LogState } from '../model/epochs.ts';
import { StoreError } from './store.ts';

/** How one store opens and closes its database. */
export interface StoreLifecycleSteps {
  /** Opens the database. Runs again when it failed before. */
  open(): Promise<{ readonly logId: string; readonly log: LogState }>;
  /** Releases everything, also what a failed `open` acquired. Runs once, while no `open` is under way. */
  close(): Promise<void>;
}

/** The life of a store, as `Store` promises it: opened once, closed once, and of no use before and after. */
export class StoreLifecycle {
  readonly #steps: StoreLifecycleSteps;
  #opening: Promise<LogState> | undefined;
  #closing: Promise<void> | undefined;
  #logId: string | undefined;

  constructor(steps: StoreLifecycleSteps) {
    this.#steps = steps;
  }

  get logId(): string {
    if (this.#logId === undefined) throw notOpen();
    return this.#logId;
  }

  open(): Promise<LogState> {
    if (this.#closing !== undefined) return Promise.reject(notOpen());
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<LogState> {
    const { logId, log } = await this.#steps.open();
    this.#logId = logId;
    return log;
  }

  /** Returns what a call works with. Throws before the store is open, and after it was closed. */
  use<Resource>(resource: Resource | undefined): Resource {
    if (resource === undefined || this.#logId === undefined || this.#closing !== undefined) throw notOpen();
    return resource;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // An opening that is under way could acquire more after this.
    await this.#opening?.catch(() => undefined);
    await this.#steps.close();
  }
}

function notOpen(): StoreError {
  return new StoreError('unavailable', 'the store is not open');
}
