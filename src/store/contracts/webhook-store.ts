/**
 * Webhooks in the database of the log: where each goes, its cursor, and which instance delivers it. Both stores implement this contract, and `test/contract/webhook-store.ts` checks them.
 *
 * One instance at a time owns a webhook. It keeps its lease by calling `leaseWebhooks` again within `leaseMs`. When the lease has ended, another instance takes the webhook over, with the next
 * fence. `noteDeliveries` changes nothing under an older fence: an owner that froze and wakes up cannot move the cursor back (fencing). Times are the clock of the database's machine, in
 * milliseconds since 1970.
 *
 * Methods reject with a `StoreError` and nothing else: with `refused` where an argument is beyond its bounds. None blocks the event loop or waits without end. Changes are durable when they resolve.
 */
export interface WebhookStore {
  /** Whether any webhook is to be delivered. Writes nothing. */
  hasActiveWebhooks(): Promise<boolean>;

  /** Stores a new webhook. If it is there already, nothing changes. @returns undefined, and nothing was stored, where `MAX_WEBHOOKS` are held. */
  createWebhook(webhook: NewWebhook): Promise<WebhookRecord | undefined>;

  /** At most `limit` webhooks after an id (`''`: from the first), in the order of their ids. `limit` is at most `CALL_MAX_WEBHOOKS`. */
  listWebhooks(page: { readonly after: string; readonly limit: number }): Promise<readonly WebhookRecord[]>;

  /** The webhooks with these ids, at most `CALL_MAX_WEBHOOKS` of them, in any order. */
  findWebhooks(ids: readonly string[]): Promise<readonly WebhookRecord[]>;

  /** Changes a webhook that still has the version. One that stays disabled keeps its reason. @returns undefined, and nothing was changed, where it has another one, or is gone. */
  changeWebhook(change: WebhookChange): Promise<WebhookRecord | undefined>;

  /** Deletes a webhook with its attempts. @returns Whether there was one. */
  deleteWebhook(id: string): Promise<boolean>;

  /**
   * Keeps the lease of an owner, and ends the leases of owners that did not call in time. No lease lasts longer than `leaseMs` from now: an owner that is gone may have called while the clock was
   * ahead. Then the owner takes webhooks that nobody has, up to its share of all.
   * An owner with more than its share learns that, and releases some.
   */
  leaseWebhooks(owner: WebhookOwner): Promise<LeasedWebhooks>;

  /** Lets go of webhooks, so that another instance takes them at once. Where `ids` is undefined the owner releases all, and its lease ends. */
  letGoOfWebhooks(owner: string, ids: readonly string[] | undefined): Promise<void>;

  /** Moves cursors and notes attempts, at most `CALL_MAX_WEBHOOKS` notes, in one transaction. @returns The ids whose fence was the newest. Of the others nothing was noted. */
  noteDeliveries(notes: readonly DeliveryNote[]): Promise<readonly string[]>;

  /** The newest attempts of a webhook, the newest first. At most `KEPT_MAX_ATTEMPTS` are kept. */
  listAttempts(id: string, limit: number): Promise<readonly KeptAttempt[]>;

  /** The newest attempt of each of these webhooks that has one, at most `CALL_MAX_WEBHOOKS` of them, in any order. */
  newestAttempts(ids: readonly string[]): Promise<readonly NewestAttempt[]>;
}

/** The most webhooks that are held. Stops a mistaken script from filling the database and the memory of instances. */
export const MAX_WEBHOOKS = 10_000;
/** The most webhooks of one call. Bounds what one answer holds. */
export const CALL_MAX_WEBHOOKS = 500;
/** The newest attempts that are kept of each webhook. Stops a receiver that fails for days from filling the database. */
export const KEPT_MAX_ATTEMPTS = 100;
/** The longest settings, and the longest attempt, as text in the database. */
export const WEBHOOK_TEXT_MAX_BYTES = 64 * 1024;

/** `disabled`: its receiver answered that it is gone. */
export type WebhookStatus = 'active' | 'paused' | 'disabled';

export interface NewWebhook {
  /** Lower-case letters and digits; nobody else's so far. */
  readonly id: string;
  /** The settings of the webhook, as a text of the room webhooks. */
  readonly settings: string;
  /** The position after which it begins. */
  readonly cursor: string;
}

/** How the delivery of the next message goes. */
export interface DeliveryState {
  /** The position up to which everything was delivered. */
  readonly cursor: string;
  /** How many attempts have failed since the last that succeeded. */
  readonly failures: number;
  /** When the message after the cursor was first attempted; undefined before. */
  readonly failingSince: number | undefined;
  /** The next attempt waits for this time; 0 for no wait. */
  readonly nextAt: number;
}

export interface WebhookRecord extends DeliveryState {
  readonly id: string;
  /** The version of the last change by an administrator, or of the status. */
  readonly version: number;
  readonly settings: string;
  readonly status: WebhookStatus;
  /** Why it is disabled. */
  readonly reason: string | undefined;
  readonly created: number;
  /** The instance that delivers it; '' for none. */
  readonly owner: string;
  readonly fence: number;
}

export interface WebhookChange {
  readonly id: string;
  readonly version: number;
  readonly settings: string;
  readonly status: WebhookStatus;
  /**
   * Restarts after a position, or after the present cursor (`here`), with the next fence: failures are forgotten. undefined leaves the delivery as it is.
   */
  readonly restart: string | undefined;
}

export interface WebhookOwner {
  /** A name that lives once. */
  readonly owner: string;
  readonly leaseMs: number;
}

export interface LeasedWebhooks {
  /** The active webhooks that the owner has. */
  readonly held: readonly { readonly id: string; readonly version: number; readonly fence: number }[];
  /** How many it should have at most. */
  readonly share: number;
}

export interface DeliveryNote extends DeliveryState {
  readonly id: string;
  readonly fence: number;
  /** Disables the webhook, for this reason. */
  readonly disabled: string | undefined;
  /** The attempts, the oldest first, as text; at most `KEPT_MAX_ATTEMPTS`. */
  readonly attempts: readonly string[];
}

export interface KeptAttempt {
  /** Counts the attempts of the webhook, from 1. */
  readonly number: number;
  readonly attempt: string;
}

export interface NewestAttempt extends KeptAttempt {
  /** The id of its webhook. */
  readonly webhook: string;
}
