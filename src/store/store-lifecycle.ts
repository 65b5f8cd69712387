import type { LogState } from '../model/epochs.ts';
import { StoreError } from './store.ts';

/** How one store opens and closes its database. */
export interface StoreLifecycleSteps {
  /** Opens the database. Called again if it failed before. */
  open(): Promise<{ readonly logId: string; readonly log: LogState }>;
  /** Releases everything, also after an `open` that failed half-way. Called once, while no `open` is under way. */
  close(): Promise<void>;
}

/** The life of a store, as `Store` promises it: `open` until it succeeds once, `close` once. Before and after, every call throws `unavailable`. */
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

  /** Returns the connection or worker that a call uses. Throws before the store is open, and after it was closed. */
  use<Resource>(resource: Resource | undefined): Resource {
    if (resource === undefined || this.#logId === undefined || this.#closing !== undefined) throw notOpen();
    return resource;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Wait for an `open` under way: it could open a connection after `close`.
    await this.#opening?.catch(() => undefined);
    await this.#steps.close();
  }
}

function notOpen(): StoreError {
  return new StoreError('unavailable', 'the store is not open');
}
