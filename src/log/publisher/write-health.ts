import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError, type Appends } from '../../store/store.ts';

/** How often to append nothing to a log that could not be written. Finds out that the log is writable again. */
const WRITE_PROBE_MS = 1_000;

export interface WriteHealthDependencies {
  readonly store: Pick<Appends, 'append'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info'>;
  /** Whether an answer of the store is overdue. Then no probe is sent: that answer will tell. */
  readonly isSilent: () => boolean;
}

/** Whether the log can be written. If not, this instance is not ready, so its load balancer sends no publishes that would find out. So it probes the log by itself. */
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

  /** Why the last append failed; undefined if it succeeded. */
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
