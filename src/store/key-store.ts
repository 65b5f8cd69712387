import type { Permissions } from '../model/permissions.ts';

/**
 * API keys in the database of the log. Both stores implement this contract, and `test/contract/key-store.ts` checks them. Only digests of
 * secrets come in and go out.
 *
 * Every change takes the next `version` in its own transaction, so that versions are in the order of the commits: an instance that has seen a version
 * asks for the changes after it. Changes are durable when they resolve, like an append. Times are the store's clock, in milliseconds since 1970.
 *
 * Methods reject with a `StoreError` and nothing else. None blocks the event loop or waits without end.
 */
export interface KeyStore {
  /** What changed after a version. Never from a snapshot that is older than the call. */
  keyChanges(after: number): Promise<KeyChanges>;

  /** The keys with these ids, at most `FIND_MAX_KEYS` of them; revoked and expired ones too. Ids that no key has are left out. Never from a snapshot that is older than the call. */
  findKeys(ids: readonly string[]): Promise<readonly KeyRecord[]>;

  /** Keys in the order of their ids, after an id (`''`: from the first), at most `limit`; revoked and expired ones too. */
  listKeys(page: { readonly after: string; readonly limit: number }): Promise<readonly KeyRecord[]>;

  /**
   * Stores a new key. Deletes keys that were revoked or have expired `KEPT_ENDED_KEYS_MS` ago.
   * @returns undefined, and nothing was stored, where `MAX_KEYS` keys are held that have not ended, or the id is taken.
   */
  createKey(key: NewKey): Promise<KeyRecord | undefined>;

  /**
   * Gives a key a new secret. The newest secret before it stays good for `overlapMs` more; older ones end now.
   * @returns undefined where there is no such key, or it was revoked or has expired.
   */
  rotateKey(id: string, secret: { readonly digest: Uint8Array; readonly overlapMs: number }): Promise<KeyRecord | undefined>;

  /** Ends a key for good. Revoking it again changes nothing, and answers the same. @returns undefined where there is no such key. */
  revokeKey(id: string): Promise<KeyRecord | undefined>;

  /** Notes that keys were used: their `lastUsed` is now. It takes no version. Ids that no key has are left out. */
  noteUse(ids: readonly string[]): Promise<void>;
}

/** The most keys that are held and have not ended. Stops a mistaken script from filling the database. */
export const MAX_KEYS = 100_000;
/** The most ids of one question. */
export const FIND_MAX_KEYS = 100;
/** The most changed ids of one answer. */
export const CHANGES_MAX_KEYS = 1_000;
/** How long a revoked or expired key can still be listed: 30 days. */
export const KEPT_ENDED_KEYS_MS = 30 * 86_400_000;

export interface NewKey {
  /** Lower-case letters and digits; nobody else's so far. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly permissions: Permissions;
  /** SHA-256 of the secret, 32 bytes. */
  readonly digest: Uint8Array;
  /** How long it is good, in milliseconds; undefined is for ever. */
  readonly lifetimeMs: number | undefined;
}

export interface KeyRecord {
  readonly id: string;
  readonly name: string;
  readonly permissions: Permissions;
  /** The secrets that are good, the newest first: one, or two while a rotation overlaps. */
  readonly secrets: readonly KeySecret[];
  readonly created: number;
  /** When it ends by itself. */
  readonly expires: number | undefined;
  readonly revoked: number | undefined;
  /** Some seconds late. */
  readonly lastUsed: number | undefined;
}

export interface KeySecret {
  /** SHA-256, 32 bytes. */
  readonly digest: Uint8Array;
  /** When it ends before its key does. */
  readonly expires: number | undefined;
}

export interface KeyChanges {
  /** The newest version; 0 where there has never been a key. It goes back only where the database did. */
  readonly version: number;
  /** The ids of the keys that changed after the version asked about; undefined where they are more than `CHANGES_MAX_KEYS`, or that version is beyond the newest. */
  readonly changed: readonly string[] | undefined;
  /** The store's clock: milliseconds since 1970. */
  readonly now: number;
}
