import type Database from 'better-sqlite3';
import { checkKeys, checkNewKey, checkSecret, checkVersion, DELETE_MAX_KEYS, keyRecord, NEVER_MS, permissionsText, type KeyRow } from '../../rows/key-rows.ts';
import {
  CHANGES_MAX_KEYS, FIND_MAX_KEYS, KEPT_ENDED_KEYS_MS, LIST_MAX_KEYS, MAX_ENDED_KEYS, MAX_KEYS, NOTE_MAX_KEYS, type KeyChanges, type KeyRecord, type NewKey, type NewSecret,
} from '../../contracts/key-store.ts';
import type { LogStateQuery } from '../files/log-state.ts';
import type { CallEffects, CallTable } from './side-call.ts';

/** The calls of `KeyStore`. */
export interface KeyCalls {
  keyChanges: { argument: { readonly after: number }; answer: KeyChanges };
  findKeys: { argument: { readonly ids: readonly string[] }; answer: readonly KeyRecord[] };
  listKeys: { argument: { readonly after: string; readonly limit: number }; answer: readonly KeyRecord[] };
  createKey: { argument: NewKey; answer: KeyRecord | undefined };
  rotateKey: { argument: NewSecret & { readonly id: string }; answer: KeyRecord | undefined };
  revokeKey: { argument: { readonly id: string }; answer: KeyRecord | undefined };
  noteUse: { argument: { readonly ids: readonly string[] }; answer: undefined };
}

export const KEY_EFFECTS: CallEffects<KeyCalls> = {
  keyChanges: 'read',
  findKeys: 'read',
  listKeys: 'read',
  createKey: 'commit',
  rotateKey: 'commit',
  revokeKey: 'commit',
  noteUse: 'write',
};

const COLUMNS = 'id, name, permissions, digest, old_digest AS oldDigest, old_expires AS oldExpires, created, expires, revoked, last_used AS lastUsed';

export interface ApiKeysDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Reads and changes keys, inside the caller's transaction. */
export class ApiKeys implements CallTable<KeyCalls> {
  readonly #logState: LogStateQuery;
  readonly #version: Database.Statement<[], number>;
  readonly #revocations: Database.Statement<[], number>;
  readonly #takeVersion: Database.Statement<[], number>;
  readonly #changed: Database.Statement<[number, number], string>;
  readonly #find: Database.Statement<[string], KeyRow>;
  readonly #list: Database.Statement<[string, number], KeyRow>;
  readonly #countEnded: Database.Statement<[number], number>;
  readonly #countOthers: Database.Statement<[number], number>;
  readonly #deleteFirst: Database.Statement<[number]>;
  readonly #create: Database.Statement<unknown[]>;
  readonly #rotate: Database.Statement<[number, Uint8Array, number, string]>;
  readonly #revoke: Database.Statement<[number, number, number, string]>;
  readonly #noteUse: Database.Statement<[number, string]>;

  constructor({ db, logState }: ApiKeysDependencies) {
    this.#logState = logState;
    this.#version = db.prepare<[], number>('SELECT version FROM access').pluck();
    this.#revocations = db.prepare<[], number>('SELECT version FROM revocation_list').pluck();
    this.#takeVersion = db.prepare<[], number>('UPDATE access SET version = version + 1 RETURNING version').pluck();
    this.#changed = db.prepare<[number, number], string>('SELECT id FROM api_keys WHERE version > ? ORDER BY version LIMIT ?').pluck();
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM api_keys WHERE id = ?`);
    this.#list = db.prepare(`SELECT ${COLUMNS} FROM api_keys WHERE id > ? ORDER BY id LIMIT ?`);
    this.#countEnded = db.prepare<[number], number>('SELECT count(*) FROM api_keys WHERE ends <= ?').pluck();
    this.#countOthers = db.prepare<[number], number>('SELECT count(*) FROM api_keys WHERE ends > ?').pluck();
    this.#deleteFirst = db.prepare('DELETE FROM api_keys WHERE rowid IN (SELECT rowid FROM api_keys ORDER BY ends LIMIT ?)');
    this.#create = db.prepare('INSERT INTO api_keys (version, id, name, permissions, digest, created, expires, ends) VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    this.#rotate = db.prepare('UPDATE api_keys SET version = ?, old_digest = digest, digest = ?, old_expires = ? WHERE id = ?');
    this.#revoke = db.prepare('UPDATE api_keys SET version = ?, revoked = ?, ends = min(ends, ?) WHERE id = ?');
    this.#noteUse = db.prepare('UPDATE api_keys SET last_used = ? WHERE id = ?');
  }

  keyChanges({ after }: { readonly after: number }): KeyChanges {
    checkVersion(after);
    const version = this.#version.get()!;
    const changed = after > version ? undefined : this.#changed.all(after, CHANGES_MAX_KEYS + 1);
    return { version, changed: changed !== undefined && changed.length > CHANGES_MAX_KEYS ? undefined : changed, revocations: this.#revocations.get()!, now: Date.now() };
  }

  findKeys({ ids }: { readonly ids: readonly string[] }): readonly KeyRecord[] {
    checkKeys(ids.length, FIND_MAX_KEYS);
    const now = Date.now();
    return [...new Set(ids)].flatMap((id) => this.#find.all(id)).map((row) => keyRecord(row, now));
  }

  listKeys({ after, limit }: { readonly after: string; readonly limit: number }): readonly KeyRecord[] {
    checkKeys(limit, LIST_MAX_KEYS);
    const now = Date.now();
    return this.#list.all(after, limit).map((row) => keyRecord(row, now));
  }

  createKey(key: NewKey): KeyRecord | undefined {
    checkNewKey(key);
    const now = Date.now();
    const known = this.#find.get(key.id);
    if (known !== undefined) return isNewest(known, key.digest) ? keyRecord(known, now) : undefined;
    const believed = this.#logState.believed();
    this.#deleteEndedKeys(believed);
    if (this.#countOthers.get(believed)! >= MAX_KEYS) return undefined;
    const { id, name, permissions, digest, lifetimeMs } = key;
    const expires = lifetimeMs === undefined ? null : Math.min(now + lifetimeMs, NEVER_MS);
    this.#create.run(this.#takeVersion.get(), id, name, permissionsText(permissions), digest, now, expires, expires ?? NEVER_MS);
    return this.#record(id, now);
  }

  rotateKey({ id, digest, overlapMs }: NewSecret & { readonly id: string }): KeyRecord | undefined {
    checkSecret({ digest, overlapMs });
    const now = Date.now();
    const known = this.#find.get(id);
    if (known === undefined || known.revoked !== null || (known.expires !== null && known.expires <= now)) return undefined;
    if (!isNewest(known, digest)) this.#rotate.run(this.#takeVersion.get()!, digest, Math.min(now + overlapMs, NEVER_MS), id);
    return this.#record(id, now);
  }

  revokeKey({ id }: { readonly id: string }): KeyRecord | undefined {
    const now = Date.now();
    const known = this.#find.get(id);
    if (known === undefined) return undefined;
    if (known.revoked === null) this.#revoke.run(this.#takeVersion.get()!, now, now, id);
    return this.#record(id, now);
  }

  noteUse({ ids }: { readonly ids: readonly string[] }): undefined {
    checkKeys(ids.length, NOTE_MAX_KEYS);
    const now = Date.now();
    for (const id of new Set(ids)) this.#noteUse.run(now, id);
  }

  #record(id: string, now: number): KeyRecord {
    return keyRecord(this.#find.get(id)!, now);
  }

  #deleteEndedKeys(believed: number): void {
    const [tooMany, tooOld] = [this.#countEnded.get(believed)! - MAX_ENDED_KEYS, this.#countEnded.get(believed - KEPT_ENDED_KEYS_MS)!];
    this.#deleteFirst.run(Math.max(0, Math.min(Math.max(tooMany, tooOld), DELETE_MAX_KEYS)));
  }
}

function isNewest({ digest }: KeyRow, other: Uint8Array): boolean {
  return Buffer.compare(digest, other) === 0;
}
