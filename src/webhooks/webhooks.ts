import { Ownership, type OwnedTask } from '../ownership/ownership.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { CALL_MAX_WEBHOOKS, type WebhookRecord, type WebhookStore } from '../store/contracts/webhook-store.ts';
import { WebhookReader, type WebhookReaderDependencies } from './webhook-reader.ts';

/**
 * This room sends messages to receivers by HTTP. A webhook is a reader with a cursor: it has no queue of its own, and its cursor is in the database (store/contracts/webhook-store.ts). Messages come in from
 * the log; signed requests go out (sender.ts), in order for each webhook, at least once. One instance at a time delivers a webhook, under a lease (ownership/); another takes over when that ends.
 * Administrators come in through `WebhookAdministration`.
 */

/** Memory for the messages that are being sent. A webhook that finds no room reads on a second later. */
export const WEBHOOKS_MAX_BYTES = 16 * 1024 * 1024;
/** The same bound for webhooks that failed last time. Stops receivers that hang from holding the memory of others. */
export const SUSPECT_WEBHOOKS_MAX_BYTES = 16 * 1024 * 1024;

export interface WebhooksDependencies extends Omit<WebhookReaderDependencies, 'ownsNow'> {
  readonly store: Pick<WebhookStore, 'hasActiveWebhooks' | 'leaseWebhooks' | 'findWebhooks' | 'letGoOfWebhooks'>;
  /** The name of this process, which lives once. */
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

  /** How many this instance delivers, and how many of those failed when they were last attempted. */
  get size(): number {
    return this.#owned.runners.size;
  }

  get failing(): number {
    return [...this.#owned.runners.values()].filter(({ isFailing }) => isFailing).length;
  }

  /** How many of them have an open circuit. */
  get circuitsOpen(): number {
    return [...this.#owned.runners.values()].filter(({ isCircuitOpen }) => isCircuitOpen).length;
  }

  /** How many messages of the log the furthest of them is behind. */
  get behind(): number {
    return [...this.#owned.runners.values()].reduce((most, { behind }) => Math.max(most, behind), 0);
  }

  open(): void {
    this.#owned.open();
  }

  /** Looks now, as after a change. Calls during a look are answered by one more. */
  look(): Promise<void> {
    return this.#owned.look();
  }

  /** Lets go of everything at once, so that another instance goes on. Attempts under way have a moment to end. */
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

  /** Undefined if the record cannot be read, as after a mistake in the database: it must not keep the other webhooks from being delivered. */
  #readerOf(record: WebhookRecord, ownsNow: () => boolean): WebhookReader | undefined {
    try {
      return new WebhookReader(record, { ...this.#deps, ownsNow });
    } catch (error) {
      this.#deps.logger.error({ err: error, webhook: record.id }, 'a webhook cannot be delivered: its row is not what this program stores');
      return undefined;
    }
  }
}
