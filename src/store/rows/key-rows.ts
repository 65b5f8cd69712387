import type { Permissions } from '../../model/permissions.ts';
import type { KeyRecord, KeySecret, NewKey, NewSecret } from '../contracts/key-store.ts';
import { StoreError } from '../store.ts';

/**
 * This room turns rows of a database into the records of the contracts, and back, for both stores. Values come in as a driver gives them; a value that
 * no store could have written is an error. Nothing here knows SQL.
 */

/** Both stores read and write rows of the table `api_keys` with this file. */

/** When a key ends that does not end by itself: the last moment of a Date. No key ends later. */
export const NEVER_MS = 8_640_000_000_000_000;

/** The most ended keys that one creation deletes: more than it adds, and few enough that others hardly wait. */
export const DELETE_MAX_KEYS = 1_000;

export const DIGEST_BYTES = 32;

/** A row without its version and its end. */
export interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly permissions: string;
  readonly digest: Uint8Array;
  readonly oldDigest: Uint8Array | null;
  readonly oldExpires: number | null;
  readonly created: number;
  readonly expires: number | null;
  readonly revoked: number | null;
  readonly lastUsed: number | null;
}

export function keyRecord(row: KeyRow, now: number): KeyRecord {
  const { id, name, created, oldDigest, oldExpires } = row;
  const secrets: KeySecret[] = [{ digest: row.digest, expires: undefined }];
  if (oldDigest !== null && oldExpires !== null && oldExpires > now) secrets.push({ digest: oldDigest, expires: oldExpires });
  return {
    id, name, permissions: permissionsOf(JSON.parse(row.permissions)), secrets, created,
    expires: row.expires ?? undefined, revoked: row.revoked ?? undefined, lastUsed: row.lastUsed ?? undefined,
  };
}

/** Their text in the database. A program that does not know `erase`, `presence` or `operate` leaves it out: to such a program the credential allows less. */
export function permissionsText({ publish, subscribe, erase, presence, admin, operate }: Permissions): string {
  return JSON.stringify({ publish, subscribe, erase, presence, admin, ...(operate ? { operate } : {}) });
}

/** Throws at a value that this program did not write: nobody may be let in by it. */
export function permissionsOf(value: unknown): Permissions {
  const { publish, subscribe, erase, presence, admin, operate = false } = (value ?? {}) as { readonly [Name in keyof Permissions]: unknown };
  if (!isTexts(publish) || !isTexts(subscribe) || (erase !== undefined && !isTexts(erase)) || (presence !== undefined && !isTexts(presence)) || typeof admin !== 'boolean' || typeof operate !== 'boolean') throw new TypeError('the permissions of a credential are not what this program stores');
  return { publish, subscribe, ...(erase === undefined ? {} : { erase }), ...(presence === undefined ? {} : { presence }), admin, operate };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

export function checkNewKey({ digest, lifetimeMs }: NewKey): void {
  checkDigest(digest);
  // SQLite would store a NaN as NULL, which is a key for ever.
  if (lifetimeMs !== undefined) checkWhole('the lifetime of a key', lifetimeMs, 1, NEVER_MS);
}

export function checkSecret({ digest, overlapMs }: NewSecret): void {
  checkDigest(digest);
  checkWhole('the overlap of a rotation', overlapMs, 0, NEVER_MS);
}

export function checkDigest(digest: Uint8Array): void {
  if (digest.length !== DIGEST_BYTES) throw new StoreError('refused', `the digest of a secret has ${digest.length} bytes, and not ${DIGEST_BYTES}`);
}

/** Throws at a number of keys that is asked for, or given, beyond its bound. */
export function checkKeys(keys: number, most: number): void {
  checkWhole('the number of keys', keys, 0, most);
}

/** Throws at a version that no store gives. */
export function checkVersion(version: number): void {
  checkWhole('a version', version, 0, Number.MAX_SAFE_INTEGER);
}

export function checkWhole(what: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) throw new StoreError('refused', `${what} is ${value}, and not a whole number from ${least} to ${most}`);
}
