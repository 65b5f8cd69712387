/**
 * Webhooks in the database of the log: the settings of each, its cursor, and which instance delivers it. `test/contract/webhook-store.ts` checks both stores.
 *
 * One instance at a time owns a webhook, under a lease: it renews the lease of all its webhooks by calling `leaseWebhooks` again within `leaseMs`. When a
 * lease has expired, another instance takes the webhooks over, each with the next fence. Under an older fence `noteDeliveries` changes nothing. So an owner
 * that froze and wakes up cannot move a cursor back (fencing).
 */
export interface WebhookStore {
  /** Whether any webhook is active. Writes nothing. */
  hasActiveWebhooks(): Promise<boolean>;

  /** Stores a new webhook. If there is one with this id, changes nothing and returns that one. @returns undefined, and stores nothing, if there are `MAX_WEBHOOKS`. */
  createWebhook(webhook: NewWebhook): Promise<WebhookRecord | undefined>;

  /** Reads at most `limit` webhooks after an id (`''`: from the first), in the order of their ids. `limit` is at most `CALL_MAX_WEBHOOKS`. */
  listWebhooks(page: { readonly after: string; readonly limit: number }): Promise<readonly WebhookRecord[]>;

  /** Reads the webhooks with these ids, at most `CALL_MAX_WEBHOOKS`, in any order. */
  findWebhooks(ids: readonly string[]): Promise<readonly WebhookRecord[]>;

  /** Changes a webhook if it still has the given version. A webhook that stays disabled keeps its reason. @returns undefined, and changes nothing, if it has another version or was deleted. */
  changeWebhook(change: WebhookChange): Promise<WebhookRecord | undefined>;

  /** Deletes a webhook with its attempts. @returns Whether there was one. */
  deleteWebhook(id: string): Promise<boolean>;

  /**
   * Renews the lease of an owner, and ends the leases that have expired. Shortens every lease that ends later than `leaseMs` from now: its owner may have
   * renewed it while the clock was ahead, and then vanished. Then the owner takes active webhooks without an owner, up to its share. An owner that has
   * more than its share sees so in the answer, and releases the surplus.
   */
  leaseWebhooks(owner: WebhookOwner): Promise<LeasedWebhooks>;

  /** Releases webhooks, so that other instances can take them at once. If `ids` is undefined, releases all webhooks of the owner and ends its lease. */
  letGoOfWebhooks(owner: string, ids: readonly string[] | undefined): Promise<void>;

  /** Moves cursors and stores attempts, at most `CALL_MAX_WEBHOOKS` notes, in one transaction. @returns The ids of the notes with the newest fence. Nothing of the other notes was stored. */
  noteDeliveries(notes: readonly DeliveryNote[]): Promise<readonly string[]>;

  /** Reads the newest attempts of a webhook, the newest first. At most `KEPT_MAX_ATTEMPTS` are kept. */
  listAttempts(id: string, limit: number): Promise<readonly KeptAttempt[]>;

  /** Reads the newest attempt of each of these webhooks, at most `CALL_MAX_WEBHOOKS`, in any order. Skips webhooks without an attempt. */
  newestAttempts(ids: readonly string[]): Promise<readonly NewestAttempt[]>;
}

/** The most webhooks. Stops a mistaken script from filling the database and the memory of instances. */
export const MAX_WEBHOOKS = 10_000;
/** The most webhooks of one call. Bounds the size of an answer. */
export const CALL_MAX_WEBHOOKS = 500;
/** The most attempts that are kept of each webhook; the oldest are deleted. Stops a receiver that fails for days from filling the database. */
export const KEPT_MAX_ATTEMPTS = 100;
/** The longest settings, and the longest attempt, as text in the database. Bounds the size of a row. */
export const WEBHOOK_TEXT_MAX_BYTES = 64 * 1024;

/** Only `active` webhooks are delivered. `paused`: by an administrator. `disabled`: the receiver answered that it does not exist any more. */
export type WebhookStatus = 'active' | 'paused' | 'disabled';

export interface NewWebhook {
  /** Lower-case letters and digits, random. */
  readonly id: string;
  /** The settings of the webhook, as text. Only the room `webhooks` reads it. */
  readonly settings: string;
  /** The position after which delivery begins. */
  readonly cursor: string;
}

/** How far delivery has come, and what became of the attempts for the next message. */
export interface DeliveryState {
  /** The position up to which everything was delivered. */
  readonly cursor: string;
  /** How many attempts have failed in a row. */
  readonly failures: number;
  /** When the message after the cursor was first attempted; undefined before the first attempt. */
  readonly failingSince: number | undefined;
  /** The earliest time of the next attempt; 0: at once. */
  readonly nextAt: number;
}

export interface WebhookRecord extends DeliveryState {
  readonly id: string;
  /** Counts the changes by administrators and the changes of the status. */
  readonly version: number;
  readonly settings: string;
  readonly status: WebhookStatus;
  /** Why it is disabled. */
  readonly reason: string | undefined;
  readonly created: number;
  /** The owner; '' if it has none. */
  readonly owner: string;
  readonly fence: number;
}

export interface WebhookChange {
  readonly id: string;
  readonly version: number;
  readonly settings: string;
  readonly status: WebhookStatus;
  /**
   * Restarts the delivery after this position, or after the present cursor (`here`): resets the failures, and takes the next fence. Undefined: leaves the
   * delivery as it is.
   */
  readonly restart: string | undefined;
}

export interface WebhookOwner {
  /** A random name, new for each process. */
  readonly owner: string;
  readonly leaseMs: number;
}

export interface LeasedWebhooks {
  /** The active webhooks of the owner. */
  readonly held: readonly { readonly id: string; readonly version: number; readonly fence: number }[];
  /** How many webhooks the owner should have at most: an equal share of all. */
  readonly share: number;
}

export interface DeliveryNote extends DeliveryState {
  readonly id: string;
  readonly fence: number;
  /** The reason to disable the webhook; undefined: do not disable it. */
  readonly disabled: string | undefined;
  /** The new attempts, the oldest first, as text; at most `KEPT_MAX_ATTEMPTS`. */
  readonly attempts: readonly string[];
}

export interface KeptAttempt {
  /** The number of the attempt: 1 for the first attempt of the webhook. */
  readonly number: number;
  readonly attempt: string;
}

export interface NewestAttempt extends KeptAttempt {
  /** The id of its webhook. */
  readonly webhook: string;
}
