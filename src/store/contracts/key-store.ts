import type { Permissions } from '../../model/permissions.ts';

/**
 * API keys in the database of the log. Both stores implement this contract, and `test/contract/key-store.ts` checks them. Only digests of
 * secrets come in and go out.
 *
 * Every change takes the next `version` in its own transaction, so versions are in the order of the commits. An instance that has seen a version
 * asks for the changes after it. Changes are durable when they resolve, like an append. Times are the clock of the database's machine, in
 * milliseconds since 1970. The log's own clock would not do: after one message from a clock that was ahead, every key that expires would have ended.
 *
 * Methods reject with a `StoreError` and nothing else: with `refused` where an argument is beyond its bounds. None blocks the event loop or waits without
 * end. A change that rejects with `outcome-unknown` may be asked for again with the same arguments: it happens once.
 */
export interface KeyStore {
  /** The changes after a version. Never from a snapshot that is older than the call. Writes nothing. */
  keyChanges(after: number): Promise<KeyChanges>;

  /** The keys with these ids, at most `FIND_MAX_KEYS` of them, in any order; revoked and expired ones too. Ids that no key has are left out. Never from a snapshot that is older than the call. */
  findKeys(ids: readonly string[]): Promise<readonly KeyRecord[]>;

  /** At most `limit` keys after an id (`''`: from the first), in the order of their ids; revoked and expired ones too. `limit` is at most `LIST_MAX_KEYS`. */
  listKeys(page: { readonly after: string; readonly limit: number }): Promise<readonly KeyRecord[]>;

  /**
   * Stores a new key. If a key has the id and this newest secret already, nothing changes, and the answer is that key. Also deletes keys that ended
   * `KEPT_ENDED_KEYS_MS` ago, and the oldest of more than `MAX_ENDED_KEYS`. The believed clock decides which keys have ended (invariant 10).
   * @returns undefined, and nothing was stored, where `MAX_KEYS` keys are held that have not ended, or another key has the id.
   */
  createKey(key: NewKey): Promise<KeyRecord | undefined>;

  /**
   * Gives a key a new secret. The newest secret before it stays good for `overlapMs` more; older ones end now. If it is the newest secret already,
   * nothing changes, and the answer is the key.
   * @returns undefined where there is no such key, or it was revoked or has expired.
   */
  rotateKey(id: string, secret: NewSecret): Promise<KeyRecord | undefined>;

  /** Ends a key for good. Revoking it again changes nothing, and answers the same. @returns undefined where there is no such key. */
  revokeKey(id: string): Promise<KeyRecord | undefined>;

  /** Notes that keys were used, at most `NOTE_MAX_KEYS` of them: their `lastUsed` is now. It takes no version. Ids that no key has are left out. */
  noteUse(ids: readonly string[]): Promise<void>;
}

/** Whether a command may make a log if there is none. */
export interface KeyStoreOptions {
  readonly isMaking?: boolean;
}

export const NO_LOG = 'there is no log in this database: correct DATABASE_URL, or make the first key with keys create';

/** A `KeyStore` of its own on a database, beside instances or before the first of them, for a command. */
export interface OpenedKeyStore extends KeyStore {
  /** Whether there was no log: this is a new, empty one. */
  readonly isNew: boolean;
  /** Lets running calls finish, then releases the database. */
  close(): Promise<void>;
}

/** The most keys that are held and have not ended. Stops a mistaken script from filling the database. */
export const MAX_KEYS = 100_000;
/** The most keys that are held and have ended. Stops a script that makes short-lived keys from filling the database. */
export const MAX_ENDED_KEYS = 100_000;
/** The most ids of one question. */
export const FIND_MAX_KEYS = 100;
/** The most keys of one page of the list. Bounds what one answer holds: a key with long lists of topics has 50 kB. */
export const LIST_MAX_KEYS = 1_000;
/** The most ids of one note of use. Stops it from keeping the database from others for long. */
export const NOTE_MAX_KEYS = 1_000;
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
  /** How long it is good, in milliseconds, at least 1; undefined is for ever. */
  readonly lifetimeMs: number | undefined;
}

export interface NewSecret {
  /** SHA-256, 32 bytes. */
  readonly digest: Uint8Array;
  /** How long the secret before it stays good; 0 ends it now. */
  readonly overlapMs: number;
}

export interface KeyRecord {
  readonly id: string;
  readonly name: string;
  readonly permissions: Permissions;
  /** The secrets that are good unless the key has ended, the newest first: one, or two while a rotation overlaps. */
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
  /**
   * The ids of the keys that changed after the version asked about, each once, in the order of their last changes. undefined where any key may have
   * changed. Then they are more than `CHANGES_MAX_KEYS`, or the database may have lost changes: that version is beyond the newest, or another server gave it.
   */
  readonly changed: readonly string[] | undefined;
  /** The newest version of the revocations of tokens (revocation-store.ts): so one question a second finds both. */
  readonly revocations: number;
  /** The clock: milliseconds since 1970. */
  readonly now: number;
}
