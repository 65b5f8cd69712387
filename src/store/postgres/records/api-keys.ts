import { DELETE_MAX_KEYS, keyRecord, NEVER_MS, permissionsText, type KeyRow } from '../../rows/key-rows.ts';
import { CHANGES_MAX_KEYS, KEPT_ENDED_KEYS_MS, MAX_ENDED_KEYS, MAX_KEYS, type KeyChanges, type KeyRecord, type NewKey, type NewSecret } from '../../contracts/key-store.ts';
import { BELIEVED, newestOf, NOW, STANDBY } from '../connection/expressions.ts';
import { digestIn, listIn, numberIn, numberOrNull, partsOf, textIn } from '../connection/json-values.ts';
import type { Row } from '../connection/connection.ts';
import { bytea, literal, strings, wholeNumber } from '../connection/literals.ts';
import { changeCall } from './versioned-change.ts';

/** The calls of `KeyStore` as SQL, and their answers. */

/** SQL: the `KeyRow` of a row `k` as a JSON array, which `rowIn` reads. */
const KEY = "json_build_array(k.id, k.name, k.permissions, encode(k.digest, 'hex'), encode(k.old_digest, 'hex'), k.old_expires, k.created, k.expires, k.revoked, k.last_used)";

export function changesCall(after: number): string {
  return `SELECT a.version, CASE WHEN ${after} BETWEEN a.since AND a.version THEN coalesce((
      SELECT json_agg(k.id ORDER BY k.version) FROM (SELECT id, version FROM tidings.api_keys WHERE version > ${after} ORDER BY version LIMIT ${CHANGES_MAX_KEYS + 1}) k), '[]') END, (SELECT l.version FROM ${newestOf('revocation_list')} l), ${NOW}, ${STANDBY}
    FROM ${newestOf('access')} a`;
}

export function changesIn(row: Row): KeyChanges {
  const [version, ids, revocations, now] = row as readonly [string, string | null, string, string];
  const changed = ids === null ? undefined : listIn(ids).map(textIn);
  return { version: wholeNumber(version), changed: changed !== undefined && changed.length > CHANGES_MAX_KEYS ? undefined : changed, revocations: wholeNumber(revocations), now: wholeNumber(now) };
}

export function findCall(ids: readonly string[]): string {
  return `SELECT (SELECT json_agg(${KEY}) FROM tidings.api_keys k WHERE k.id = ANY (${strings(ids)})), ${NOW}, ${STANDBY}`;
}

export function listCall(after: string, limit: number): string {
  return `SELECT (SELECT json_agg(${KEY} ORDER BY k.id) FROM (SELECT * FROM tidings.api_keys WHERE id > ${literal(after)} ORDER BY id LIMIT ${limit}) k), ${NOW}, ${STANDBY}`;
}

export function createCall({ id, name, permissions, digest, lifetimeMs }: NewKey): string {
  const expires = lifetimeMs === undefined ? 'NULL::bigint' : `least(n.now + ${lifetimeMs}, ${NEVER_MS})`;
  const sha256 = bytea(digest);
  return keyChange({
    first: `WITH b AS MATERIALIZED (SELECT ${BELIEVED} AS clock),
        due AS (SELECT id FROM tidings.api_keys ORDER BY ends LIMIT greatest(0, least(${DELETE_MAX_KEYS}, greatest(
          (SELECT count(*) FROM tidings.api_keys, b WHERE ends <= b.clock) - ${MAX_ENDED_KEYS},
          (SELECT count(*) FROM tidings.api_keys, b WHERE ends <= b.clock - ${KEPT_ENDED_KEYS_MS})))) FOR UPDATE SKIP LOCKED)
      DELETE FROM tidings.api_keys k USING due WHERE k.id = due.id`,
    change: `INSERT INTO tidings.api_keys AS k (id, version, ends, created, expires, digest, name, permissions)
      SELECT ${literal(id)}, n.version, coalesce(${expires}, ${NEVER_MS}), n.now, ${expires}, ${sha256}, ${literal(name)}, ${literal(permissionsText(permissions))} FROM next n
      WHERE (SELECT count(*) FROM tidings.api_keys, (SELECT ${BELIEVED} AS clock) b WHERE ends > b.clock) < ${MAX_KEYS}
      ON CONFLICT (id) DO NOTHING`,
    same: `k.id = ${literal(id)} AND k.digest = ${sha256}`,
  });
}

export function rotateCall(id: string, { digest, overlapMs }: NewSecret): string {
  const [sha256, isGood] = [bytea(digest), `k.id = ${literal(id)} AND k.revoked IS NULL AND (k.expires IS NULL OR k.expires > n.now)`];
  return keyChange({
    change: `UPDATE tidings.api_keys k SET version = n.version, old_digest = k.digest, digest = ${sha256}, old_expires = least(n.now + ${overlapMs}, ${NEVER_MS})
      FROM next n WHERE ${isGood} AND k.digest <> ${sha256}`,
    same: `${isGood} AND k.digest = ${sha256}`,
  });
}

export function revokeCall(id: string): string {
  return keyChange({
    change: `UPDATE tidings.api_keys k SET version = n.version, revoked = n.now, ends = least(k.ends, n.now) FROM next n WHERE k.id = ${literal(id)} AND k.revoked IS NULL`,
    same: `k.id = ${literal(id)}`,
  });
}

/** Locks the keys in the order of their ids, so that two such calls cannot block each other (deadlock). */
export function noteUseCall(ids: readonly string[]): string {
  return `WITH few AS MATERIALIZED (SELECT id FROM tidings.api_keys WHERE id = ANY (${strings(ids)}) ORDER BY id FOR NO KEY UPDATE)
    UPDATE tidings.api_keys k SET last_used = ${NOW} FROM few WHERE k.id = few.id; SELECT ${STANDBY}`;
}

interface KeyChange {
  /** As in `VersionedChange`. */
  readonly first?: string;
  readonly change: string;
  /** A condition for a key `k`. If the change changes nothing, the answer is the key that meets it, because an earlier call has made the same change. */
  readonly same: string;
}

function keyChange({ same, ...change }: KeyChange): string {
  return changeCall({ ...change, list: 'access', row: KEY, otherwise: `(SELECT ${KEY} FROM tidings.api_keys k WHERE ${same})` });
}

/** The keys in the answer of `findCall` or `listCall`. */
export function keysIn([keys, time]: Row): KeyRecord[] {
  const now = wholeNumber(time);
  return listIn(keys).map((key) => keyRecord(rowIn(key), now));
}

/** The key in the answer of a change; undefined if there is none. */
export function keyIn([key, time]: Row): KeyRecord | undefined {
  return key === null || key === undefined ? undefined : keyRecord(rowIn(JSON.parse(key)), wholeNumber(time));
}

function rowIn(key: unknown): KeyRow {
  const [id, name, permissions, digest, oldDigest, oldExpires, created, expires, revoked, lastUsed] = partsOf(key);
  return {
    id: textIn(id), name: textIn(name), permissions: textIn(permissions), digest: digestIn(digest), oldDigest: oldDigest === null ? null : digestIn(oldDigest),
    oldExpires: numberOrNull(oldExpires), created: numberIn(created), expires: numberOrNull(expires), revoked: numberOrNull(revoked), lastUsed: numberOrNull(lastUsed),
  };
}
