import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError, type Appends } from '../../store/store.ts';

/** How often a log that could not be written is tried again when nobody publishes. */
const WRITE_PROBE_MS = 1_000;

export interface WriteHealthDependencies {
  readonly store: Pick<Appends, 'append'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info'>;
  /** Whether the store owes an answer for too long. That answer counts, too. */
  readonly isSilent: () => boolean;
}

/** Whether the log can be written. While it cannot, this instance is not ready, and a load balancer sends no publisher that would find out: so it tries by itself. */
export class WriteHealth {
  readonly #store: Pick<Appends, 'append'>;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info'>;
  readonly #isSilent: () => boolean;
  #failure: string | undefined;
  #probe: Timer | undefined;
  #isStopped = false;

  constructor({ store, clock, logger, isSilent }: WriteHealthDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
    this.#isSilent = isSilent;
  }

  /** Why the last append failed; undefined when it did not. */
  get failure(): string | undefined {
    return this.#failure;
  }

  failed(error: unknown): void {
    if (!(error instanceof StoreError)) throw error;
    this.#failure = error.message;
    this.#probeLater();
  }

  worked(): void {
    if (this.#failure !== undefined) this.#logger.info('the log can be written again');
    this.#failure = undefined;
  }

  stop(): void {
    this.#probe?.cancel();
    this.#isStopped = true;
  }

  #probeLater(): void {
    if (this.#isStopped) return;
    this.#probe ??= this.#clock.after(WRITE_PROBE_MS, () => {
      this.#probe = undefined;
      if (this.#failure === undefined) return;
      if (this.#isSilent()) this.#probeLater();
      else this.#store.append([]).then(() => this.worked(), (error: unknown) => this.failed(error));
    });
  }
}
