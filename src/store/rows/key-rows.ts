import type { Permissions } from '../../model/permissions.ts';
import type { KeyRecord, KeySecret, NewKey, NewSecret } from '../contracts/key-store.ts';
import { StoreError } from '../store.ts';

/**
 * The room `rows` is the common part of both stores' records, one file for each contract of `contracts/`. Arguments come in and are checked (`check…`).
 * Rows come in as a driver returns them, and the records of the contracts go out (`…Record`, `…Of`); a value that no store could have written is an error.
 * The room has no SQL. Read this file first: the others use its checks and its permissions.
 */

/** The end of a key that does not expire: the last moment of a `Date`. No key ends later. */
export const NEVER_MS = 8_640_000_000_000_000;

/** The most ended keys that one creation deletes: more than it adds, so ended keys do not pile up, and few enough that other changes hardly wait. */
export const DELETE_MAX_KEYS = 1_000;

/** The length of a SHA-256. */
export const DIGEST_BYTES = 32;

/** A row of `api_keys` without `version` and `ends`. */
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

/** The permissions as they are stored. An older program that does not know `erase`, `presence` or `operate` ignores it, so there the credential allows less. */
export function permissionsText({ publish, subscribe, erase, presence, admin, operate }: Permissions): string {
  return JSON.stringify({ publish, subscribe, erase, presence, admin, ...(operate ? { operate } : {}) });
}

/** Reads stored permissions. Throws at any other value: it must not give anybody access. */
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

/** Throws if a call asks for, or passes, more than `most` keys. */
export function checkKeys(keys: number, most: number): void {
  checkWhole('the number of keys', keys, 0, most);
}

/** Throws at a version that no store could have given. */
export function checkVersion(version: number): void {
  checkWhole('a version', version, 0, Number.MAX_SAFE_INTEGER);
}

/** Throws `refused` unless a value is a whole number within its bounds. @param what Names the value in the message. */
export function checkWhole(what: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) throw new StoreError('refused', `${what} is ${value}, and not a whole number from ${least} to ${most}`);
}
