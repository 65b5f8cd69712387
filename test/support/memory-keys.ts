import { checkKeys, checkNewKey, checkSecret, checkVersion, DELETE_MAX_KEYS, keyRecord, NEVER_MS, permissionsText, type KeyRow } from '../../src/store/rows/key-rows.ts';
import {
  CHANGES_MAX_KEYS, FIND_MAX_KEYS, KEPT_ENDED_KEYS_MS, LIST_MAX_KEYS, MAX_ENDED_KEYS, MAX_KEYS, NOTE_MAX_KEYS, type KeyChanges, type KeyRecord, type KeyStore, type NewKey, type NewSecret,
} from '../../src/store/contracts/key-store.ts';

type MemoryRow = KeyRow & { readonly version: number };

export interface MemoryKeysDependencies {
  /** Answers later with what is so now, or fails. */
  readonly reply: <Answer>(answer: () => Answer) => Promise<Answer>;
  readonly now: () => number;
  /** The clock as far as it is believed. */
  readonly believed: () => number;
}

/** The keys of a `MemoryStore`. */
export class MemoryKeys implements KeyStore {
  readonly #reply: MemoryKeysDependencies['reply'];
  readonly #now: () => number;
  readonly #believed: () => number;
  rows = new Map<string, MemoryRow>();
  version = 0;

  constructor({ reply, now, believed }: MemoryKeysDependencies) {
    this.#reply = reply;
    this.#now = now;
    this.#believed = believed;
  }

  keyChanges(after: number): Promise<KeyChanges> {
    return this.#reply(() => {
      checkVersion(after);
      const changed = [...this.rows.values()].filter(({ version }) => version > after).sort((one, other) => one.version - other.version).map(({ id }) => id);
      return { version: this.version, changed: after > this.version || changed.length > CHANGES_MAX_KEYS ? undefined : changed, revocations: 0, now: this.#now() };
    });
  }

  findKeys(ids: readonly string[]): Promise<readonly KeyRecord[]> {
    return this.#reply(() => {
      checkKeys(ids.length, FIND_MAX_KEYS);
      return [...new Set(ids)].flatMap((id) => this.#record(this.rows.get(id)) ?? []);
    });
  }

  listKeys({ after, limit }: { readonly after: string; readonly limit: number }): Promise<readonly KeyRecord[]> {
    return this.#reply(() => {
      checkKeys(limit, LIST_MAX_KEYS);
      return [...this.rows.values()].filter(({ id }) => id > after).sort((one, other) => (one.id < other.id ? -1 : 1)).slice(0, limit).map((row) => this.#record(row)!);
    });
  }

  createKey(key: NewKey): Promise<KeyRecord | undefined> {
    return this.#reply(() => {
      checkNewKey(key);
      const { id, name, permissions, digest, lifetimeMs } = key;
      const known = this.rows.get(id);
      if (known !== undefined) return isNewest(known, digest) ? this.#record(known) : undefined;
      const held = this.#deleteEnded();
      if (held >= MAX_KEYS) return undefined;
      const expires = lifetimeMs === undefined ? null : Math.min(this.#now() + lifetimeMs, NEVER_MS);
      return this.#change({
        id, name, permissions: permissionsText(permissions), digest: Uint8Array.from(digest), oldDigest: null, oldExpires: null, created: this.#now(), expires, revoked: null, lastUsed: null,
      });
    });
  }

  rotateKey(id: string, secret: NewSecret): Promise<KeyRecord | undefined> {
    return this.#reply(() => {
      checkSecret(secret);
      const { digest, overlapMs } = secret;
      const row = this.rows.get(id);
      if (row === undefined || endOf(row) <= this.#now()) return undefined;
      if (isNewest(row, digest)) return this.#record(row);
      return this.#change({ ...row, digest: Uint8Array.from(digest), oldDigest: row.digest, oldExpires: Math.min(this.#now() + overlapMs, NEVER_MS) });
    });
  }

  revokeKey(id: string): Promise<KeyRecord | undefined> {
    return this.#reply(() => {
      const row = this.rows.get(id);
      return row === undefined || row.revoked !== null ? this.#record(row) : this.#change({ ...row, revoked: this.#now() });
    });
  }

  noteUse(ids: readonly string[]): Promise<void> {
    return this.#reply(() => {
      checkKeys(ids.length, NOTE_MAX_KEYS);
      for (const id of ids) {
        const row = this.rows.get(id);
        if (row !== undefined) this.rows.set(id, { ...row, lastUsed: this.#now() });
      }
    });
  }

  #record(row: KeyRow | undefined): KeyRecord | undefined {
    return row === undefined ? undefined : keyRecord(row, this.#now());
  }

  #change(row: KeyRow): KeyRecord {
    this.rows.set(row.id, { ...row, version: ++this.version });
    return keyRecord(row, this.#now());
  }

  /** Returns how many there are that have not ended. */
  #deleteEnded(): number {
    const believed = this.#believed();
    const ended = [...this.rows.values()].filter((row) => endOf(row) <= believed).sort((one, other) => endOf(one) - endOf(other));
    const tooOld = ended.filter((row) => endOf(row) <= believed - KEPT_ENDED_KEYS_MS);
    const others = this.rows.size - ended.length;
    for (const { id } of ended.slice(0, Math.min(Math.max(0, ended.length - MAX_ENDED_KEYS, tooOld.length), DELETE_MAX_KEYS))) this.rows.delete(id);
    return others;
  }
}

function endOf({ expires, revoked }: KeyRow): number {
  return Math.min(expires ?? NEVER_MS, revoked ?? NEVER_MS);
}

function isNewest({ digest }: KeyRow, other: Uint8Array): boolean {
  return Buffer.compare(digest, other) === 0;
}
