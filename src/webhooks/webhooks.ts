import type { Logger } from '../runtime/logger.ts';
import { waitAtMost, type Timer } from '../runtime/clock.ts';
import { StoreError } from '../store/store.ts';
import { CALL_MAX_WEBHOOKS, type LeasedWebhooks, type WebhookRecord, type WebhookStore } from '../store/webhook-store.ts';
import { WebhookReader, type WebhookReaderDependencies } from './webhook-reader.ts';

/**
 * This room sends messages to receivers by HTTP. A webhook is a reader with a cursor: it has no queue of its own, and its cursor is in the database (store/webhook-store.ts). Messages come in from
 * the log; signed requests go out (sender.ts), in order for each webhook, at least once. One instance at a time delivers a webhook, under a lease; another takes over when that ends.
 * Administrators come in through `WebhookAdministration`.
 */

/** Memory for the messages that are being sent. A webhook that finds no room reads on a second later. */
export const WEBHOOKS_MAX_BYTES = 16 * 1024 * 1024;
/** The same for webhooks that failed last time. Stops receivers that hang from holding the memory that others need. */
export const SUSPECT_WEBHOOKS_MAX_BYTES = 16 * 1024 * 1024;
/** How long an instance that is not heard of keeps its webhooks. Stops a short stall from moving them all. */
export const WEBHOOK_LEASE_MS = 5_000;
/** How often an instance keeps its leases, and looks for webhooks that nobody has. */
const OWNED_LOOK_MS = 1_000;
/** How often it looks whether there are any. Who makes the first one looks at once. */
const IDLE_LOOK_MS = 10_000;
/** How long a look waits for webhooks that are being stopped. The next look follows up on the others. It is far below the lease, which no look may let end. */
const CHANGE_WAIT_MS = 1_000;
/** How long attempts have to end by themselves when the instance closes. */
const FINISH_MS = 2_000;

export interface WebhooksDependencies extends Omit<WebhookReaderDependencies, 'ownsNow'> {
  readonly store: Pick<WebhookStore, 'hasActiveWebhooks' | 'leaseWebhooks' | 'findWebhooks' | 'letGoOfWebhooks'>;
  /** The name of this process, which lives once. */
  readonly instance: string;
  readonly logger: Pick<Logger, 'error' | 'warn'>;
}

interface Change {
  next: WebhookReader | undefined;
  readonly ended: Promise<void>;
}

/** The webhooks that this instance delivers. */
export class Webhooks {
  readonly #deps: WebhooksDependencies;
  readonly #readers = new Map<string, WebhookReader>();
  /** Webhooks that are being stopped, and what starts then. */
  readonly #changing = new Map<string, Change>();
  /** Until when this instance owns what it was told that it has, by its own monotonic clock. It counts from before the question: the database counts from later. */
  #ownsUntil = -Infinity;
  #timer: Timer | undefined;
  #look: Promise<void> | undefined;
  #isLookDue = false;
  #hasLease = false;
  #isClosed = false;

  constructor(deps: WebhooksDependencies) {
    this.#deps = deps;
  }

  /** How many this instance delivers, and how many of those failed when they were last attempted. */
  get size(): number {
    return this.#readers.size;
  }

  get failing(): number {
    return [...this.#readers.values()].filter(({ isFailing }) => isFailing).length;
  }

  /** How many of them have an open circuit. */
  get circuitsOpen(): number {
    return [...this.#readers.values()].filter(({ isCircuitOpen }) => isCircuitOpen).length;
  }

  /** How many messages of the log the furthest of them is behind. */
  get behind(): number {
    return [...this.#readers.values()].reduce((most, { behind }) => Math.max(most, behind), 0);
  }

  open(): void {
    void this.look();
  }

  /** Looks now, as after a change. Calls during a look are answered by one more. */
  look(): Promise<void> {
    this.#isLookDue = true;
    return this.#look ??= this.#lookAll();
  }

  /** Lets go of everything at once, so that another instance goes on. Attempts under way have a moment to end. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    if (this.#look !== undefined) await waitAtMost(FINISH_MS, this.#look);
    const readers = [...this.#readers.values()];
    await waitAtMost(FINISH_MS, Promise.all(readers.map((reader) => reader.finish())));
    await waitAtMost(FINISH_MS, Promise.all(readers.map((reader) => reader.stop())));
    this.#readers.clear();
    if (!this.#hasLease) return;
    try {
      await this.#deps.store.letGoOfWebhooks(this.#deps.instance, undefined);
    } catch (error) {
      // Then the lease ends by itself.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  async #lookAll(): Promise<void> {
    while (this.#isLookDue && !this.#isClosed) {
      this.#isLookDue = false;
      this.#timer?.cancel();
      try {
        await this.#lookOnce();
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.#deps.logger.warn({ err: error }, 'webhooks: the leases cannot be kept');
      }
    }
    this.#look = undefined;
    if (!this.#isClosed) this.#timer = this.#deps.clock.after(this.#hasLease ? OWNED_LOOK_MS : IDLE_LOOK_MS, () => void this.look());
  }

  async #lookOnce(): Promise<void> {
    const { store, clock, instance } = this.#deps;
    // Where there are no webhooks, nothing is written.
    if (!this.#hasLease && !await store.hasActiveWebhooks()) return;
    const asked = clock.monotonic();
    const leased = await store.leaseWebhooks({ owner: instance, leaseMs: WEBHOOK_LEASE_MS });
    this.#hasLease = true;
    this.#ownsUntil = asked + WEBHOOK_LEASE_MS;
    await this.#takeOver(leased);
    if (leased.held.length === 0 && !await store.hasActiveWebhooks()) {
      await store.letGoOfWebhooks(instance, undefined);
      this.#hasLease = false;
    }
  }

  async #takeOver({ held, share }: LeasedWebhooks): Promise<void> {
    const mine = new Map(held.slice(0, share).map((one) => [one.id, one]));
    const surplus = held.slice(share).map(({ id }) => id);
    // An attempt for another instance's webhook may go to its end: its receiver would get it twice otherwise.
    for (const id of surplus) this.#change(id, undefined, (reader) => reader.finish());
    for (const id of this.#readers.keys()) if (!mine.has(id)) this.#change(id, undefined);
    for (const [id, change] of this.#changing) if (!mine.has(id)) change.next = undefined;
    // A change that came during another one: what that one starts is outdated already.
    const outdated = [...mine.values()].flatMap(({ id, version, fence }) => {
      const change = this.#changing.get(id);
      return change === undefined || (change.next?.version === version && change.next.fence === fence) ? [] : [change.ended];
    });
    if (outdated.length > 0) await waitAtMost(CHANGE_WAIT_MS, Promise.all(outdated));
    const fresh = [...mine.values()].filter(({ id, version, fence }) => {
      const reader = this.#readers.get(id);
      return !this.#changing.has(id) && (reader?.version !== version || reader.fence !== fence);
    });
    for (let index = 0; index < fresh.length; index += CALL_MAX_WEBHOOKS) {
      const records = await this.#deps.store.findWebhooks(fresh.slice(index, index + CALL_MAX_WEBHOOKS).map(({ id }) => id));
      for (const record of records) {
        if (record.owner !== this.#deps.instance || record.status !== 'active' || this.#isClosed) continue;
        const reader = this.#readerOf(record);
        if (reader !== undefined) this.#change(record.id, reader);
      }
    }
    if (surplus.length > 0) await this.#letGo(surplus);
  }

  /** One that cannot be understood, as after a mistake in the database, must not keep the others from being delivered. */
  #readerOf(record: WebhookRecord): WebhookReader | undefined {
    try {
      return new WebhookReader(record, { ...this.#deps, ownsNow: () => this.#deps.clock.monotonic() < this.#ownsUntil });
    } catch (error) {
      this.#deps.logger.error({ err: error, webhook: record.id }, 'a webhook cannot be delivered: its row is not what this program stores');
      return undefined;
    }
  }

  /** Another instance has fewer. */
  async #letGo(ids: readonly string[]): Promise<void> {
    await waitAtMost(CHANGE_WAIT_MS, Promise.all(ids.flatMap((id) => this.#changing.get(id)?.ended ?? [])));
    const stopped = ids.filter((id) => !this.#changing.has(id));
    for (let index = 0; index < stopped.length; index += CALL_MAX_WEBHOOKS) await this.#deps.store.letGoOfWebhooks(this.#deps.instance, stopped.slice(index, index + CALL_MAX_WEBHOOKS));
  }

  /** Two readers of one webhook are never under way at the same time: the next one starts when the one before has stopped. */
  #change(id: string, next: WebhookReader | undefined, end = (reader: WebhookReader): Promise<void> => reader.stop()): void {
    const before = this.#readers.get(id);
    this.#readers.delete(id);
    if (before === undefined) {
      if (next !== undefined) this.#start(id, next);
      return;
    }
    const ended = end(before).then(() => {
      const starting = this.#changing.get(id)?.next;
      this.#changing.delete(id);
      if (starting !== undefined && !this.#isClosed) this.#start(id, starting);
    });
    this.#changing.set(id, { next, ended });
  }

  #start(id: string, reader: WebhookReader): void {
    this.#readers.set(id, reader);
    reader.start();
  }
}
