import type { Permissions } from '../../model/permissions.ts';

/**
 * The room `contracts` has the contracts of everything that a store keeps besides messages: one file for each kind of record, with its methods, their
 * bounds and their types. Callers' arguments come in, and records go out; both stores implement each contract (`records/`). Read this
 * file first; the order of the others does not matter. These rules are for all of them:
 *
 * - Methods reject with a `StoreError` and nothing else: with `refused` if an argument is beyond its bounds. None blocks the event loop or waits without end.
 * - Changes are durable when they resolve, like an append. Unless a method says otherwise, a change that rejected with `outcome-unknown` may be repeated
 *   with the same arguments: it happens once.
 * - Times are the clock of the database's machine, in milliseconds since 1970. The log's own clock would not do: after one message from a clock that was
 *   ahead, every key that expires would have ended. Records are deleted for good by the believed clock (invariant 10).
 * - Secrets of credentials never come in, nor go out: only their digests.
 */

/**
 * API keys in the database of the log. `test/contract/key-store.ts` checks both stores.
 *
 * Every change takes the next `version` in its own transaction, so versions are in the order of the commits. An instance that has seen a version
 * reads the changes after it.
 */
export interface KeyStore {
  /** Reads the changes after a version, from a snapshot that is not older than the call. Writes nothing. */
  keyChanges(after: number): Promise<KeyChanges>;

  /** Reads the keys with these ids, at most `FIND_MAX_KEYS`, in any order, from a snapshot that is not older than the call. Revoked and expired keys are among them. Skips unknown ids. */
  findKeys(ids: readonly string[]): Promise<readonly KeyRecord[]>;

  /** Reads at most `limit` keys after an id (`''`: from the first), in the order of their ids, revoked and expired keys too. `limit` is at most `LIST_MAX_KEYS`. */
  listKeys(page: { readonly after: string; readonly limit: number }): Promise<readonly KeyRecord[]>;

  /**
   * Stores a new key. If there is a key with this id and this newest secret, it changes nothing and returns that key. Also deletes keys that ended
   * `KEPT_ENDED_KEYS_MS` ago, and the oldest ended keys beyond `MAX_ENDED_KEYS`. The believed clock decides which keys have ended (invariant 10).
   * @returns undefined, and stores nothing, if `MAX_KEYS` keys have not ended, or another key has the id.
   */
  createKey(key: NewKey): Promise<KeyRecord | undefined>;

  /**
   * Gives a key a new secret. The secret before it stays valid for `overlapMs`; still older secrets end now. If it is the newest secret already,
   * changes nothing and returns the key.
   * @returns undefined if there is no such key, or it was revoked or has expired.
   */
  rotateKey(id: string, secret: NewSecret): Promise<KeyRecord | undefined>;

  /** Ends a key for good. Revoking it again changes nothing and returns the same. @returns undefined if there is no such key. */
  revokeKey(id: string): Promise<KeyRecord | undefined>;

  /** Sets `lastUsed` of keys to now, at most `NOTE_MAX_KEYS`. Takes no version. Skips unknown ids. */
  noteUse(ids: readonly string[]): Promise<void>;
}

export interface KeyStoreOptions {
  /** Whether the command may make a log if there is none. */
  readonly isMaking?: boolean;
}

export const NO_LOG = 'there is no log in this database: correct DATABASE_URL, or make the first key with keys create';

/** A `KeyStore` that a command opens on a database, without a `Store`. Instances may use the database at the same time. */
export interface OpenedKeyStore extends KeyStore {
  /** Whether there was no log, and this call made a new one. */
  readonly isNew: boolean;
  /** Lets running calls finish, then releases the database. */
  close(): Promise<void>;
}

/** The most keys that have not ended. Stops a mistaken script from filling the database. */
export const MAX_KEYS = 100_000;
/** The most ended keys that stay in the database. Stops a script that makes short-lived keys from filling the database. */
export const MAX_ENDED_KEYS = 100_000;
/** The most ids of one lookup. Bounds the size of its answer. */
export const FIND_MAX_KEYS = 100;
/** The most keys of one page of the list. Bounds the size of an answer: a key with long lists of topics has 50 kB. */
export const LIST_MAX_KEYS = 1_000;
/** The most ids of one `noteUse`. Stops it from locking the database for long. */
export const NOTE_MAX_KEYS = 1_000;
/** The most changed ids of one answer. Bounds its size: beyond it, the instance forgets all keys and reads each again when it needs it. */
export const CHANGES_MAX_KEYS = 1_000;
/** How long a revoked or expired key stays in the list: 30 days. */
export const KEPT_ENDED_KEYS_MS = 30 * 86_400_000;

export interface NewKey {
  /** Lower-case letters and digits, random. */
  readonly id: string;
  /** A name that administrators read. */
  readonly name: string;
  readonly permissions: Permissions;
  /** SHA-256 of the secret, 32 bytes. */
  readonly digest: Uint8Array;
  /** How long the key is valid, in milliseconds, at least 1; undefined: for ever. */
  readonly lifetimeMs: number | undefined;
}

export interface NewSecret {
  /** SHA-256, 32 bytes. */
  readonly digest: Uint8Array;
  /** How long the secret before it stays valid, in milliseconds; 0 ends it now. */
  readonly overlapMs: number;
}

export interface KeyRecord {
  readonly id: string;
  readonly name: string;
  readonly permissions: Permissions;
  /** The valid secrets, the newest first: two during the overlap of a rotation, else one. They are listed even if the key has ended. */
  readonly secrets: readonly KeySecret[];
  readonly created: number;
  /** When the key expires. */
  readonly expires: number | undefined;
  readonly revoked: number | undefined;
  /** When it was last used, to within some seconds. */
  readonly lastUsed: number | undefined;
}

export interface KeySecret {
  /** SHA-256, 32 bytes. */
  readonly digest: Uint8Array;
  /** When it ends, if that is before its key ends. */
  readonly expires: number | undefined;
}

export interface KeyChanges {
  /** The newest version; 0 if there has never been a key. It decreases only if the database was restored. */
  readonly version: number;
  /**
   * The ids of the keys that changed after the given version, each once, in the order of their last changes. Undefined if any key may have changed:
   *
   * - more than `CHANGES_MAX_KEYS` keys changed;
   * - the given version is beyond the newest, or another server of the database gave it: the database may have lost changes.
   */
  readonly changed: readonly string[] | undefined;
  /** The newest version of the revocations of tokens (revocation-store.ts). So one call a second notices changes of both. */
  readonly revocations: number;
  /** The clock of the database's machine. */
  readonly now: number;
}
