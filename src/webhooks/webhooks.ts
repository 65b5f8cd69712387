import { Ownership, type OwnedTask } from '../ownership/ownership.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { CALL_MAX_WEBHOOKS, type WebhookRecord, type WebhookStore } from '../store/contracts/webhook-store.ts';
import { WebhookReader, type WebhookReaderDependencies } from './webhook-reader.ts';

/**
 * This room sends messages to receivers by HTTP. A webhook is a reader with a cursor in the database (store/contracts/webhook-store.ts); it has no queue. Messages come in from the log. Signed requests
 * go out, in order for each webhook, at least once. One instance at a time delivers a webhook, under a lease (ownership/). Another instance takes over when the lease ends.
 *
 * Read `webhook-reader.ts` first (one webhook), then `attempts.ts`, `webhook-cursor.ts`, `failure-streak.ts`, `sender.ts` (one request) and `turns.ts` (many webhooks). `notes.ts` writes the cursors.
 * Administrators use `administration.ts`.
 */

/** The memory for the messages that are being sent. A webhook without room tries again a second later. */
export const WEBHOOKS_MAX_BYTES = 16 * 1024 * 1024;
/** The same bound for webhooks that failed last time. Stops receivers that hang from taking the memory of the others. */
export const SUSPECT_WEBHOOKS_MAX_BYTES = 16 * 1024 * 1024;

export interface WebhooksDependencies extends Omit<WebhookReaderDependencies, 'ownsNow'> {
  readonly store: Pick<WebhookStore, 'hasActiveWebhooks' | 'leaseWebhooks' | 'findWebhooks' | 'letGoOfWebhooks'>;
  /** The name of this process. No later process has the same. */
  readonly instance: string;
  readonly logger: Pick<Logger, 'error' | 'warn'>;
}

/** The webhooks that this instance delivers. */
export class Webhooks {
  readonly #deps: WebhooksDependencies;
  readonly #owned: Ownership<WebhookReader>;

  constructor(deps: WebhooksDependencies) {
    this.#deps = deps;
    const { store, instance, clock, logger } = deps;
    this.#owned = new Ownership({
      instance, clock, logger, what: 'webhooks', maxTasks: CALL_MAX_WEBHOOKS,
      leases: {
        hasAny: () => store.hasActiveWebhooks(), lease: (owner) => store.leaseWebhooks(owner), letGo: (owner, ids) => store.letGoOfWebhooks(owner, ids), runners: (tasks, ownsNow) => this.#readers(tasks, ownsNow),
      },
    });
  }

  /** How many webhooks this instance delivers. */
  get size(): number {
    return this.#owned.runners.size;
  }

  /** How many of them failed at their last attempt. */
  get failing(): number {
    return [...this.#owned.runners.values()].filter(({ isFailing }) => isFailing).length;
  }

  /** How many of them have an open circuit. */
  get circuitsOpen(): number {
    return [...this.#owned.runners.values()].filter(({ isCircuitOpen }) => isCircuitOpen).length;
  }

  /** How many numbers of the log the webhook that is furthest behind has not read. */
  get behind(): number {
    return [...this.#owned.runners.values()].reduce((most, { behind }) => Math.max(most, behind), 0);
  }

  open(): void {
    this.#owned.open();
  }

  /** Renews the leases and starts or stops readers now, after a change. All calls during a look share one further look. */
  look(): Promise<void> {
    return this.#owned.look();
  }

  /** Releases all webhooks, so that another instance takes them over. Current attempts have a moment to end. */
  close(): Promise<void> {
    return this.#owned.close();
  }

  async #readers(tasks: readonly OwnedTask[], ownsNow: () => boolean): Promise<readonly (readonly [id: string, reader: WebhookReader])[]> {
    const records = await this.#deps.store.findWebhooks(tasks.map(({ id }) => id));
    return records.flatMap((record) => {
      if (record.owner !== this.#deps.instance || record.status !== 'active') return [];
      const reader = this.#readerOf(record, ownsNow);
      return reader === undefined ? [] : [[record.id, reader]];
    });
  }

  /** Undefined if the record is invalid, so that it does not stop the other webhooks. */
  #readerOf(record: WebhookRecord, ownsNow: () => boolean): WebhookReader | undefined {
    try {
      return new WebhookReader(record, { ...this.#deps, ownsNow });
    } catch (error) {
      this.#deps.logger.error({ err: error, webhook: record.id }, 'a webhook cannot be delivered: its row is not what this program stores');
      return undefined;
    }
  }
}
