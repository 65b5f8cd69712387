import { checkKeys, checkNewKey, checkSecret, checkVersion } from '../../rows/key-rows.ts';
import { FIND_MAX_KEYS, LIST_MAX_KEYS, NOTE_MAX_KEYS, type KeyChanges, type KeyRecord, type KeyStore, type NewKey, type NewSecret } from '../../contracts/key-store.ts';
import { changesCall, changesIn, createCall, findCall, keyIn, keysIn, listCall, noteUseCall, revokeCall, rotateCall } from './api-keys.ts';
import type { PgConnections } from '../connection/connection-pool.ts';

/**
 * The room `postgres/records` is SQL on PostgreSQL for everything but messages: one contract of `contracts/` for each kind of record. Arguments of callers
 * come in, and records go out. Every method sends one message, which is one transaction: a function `…Call` makes its SQL, a function `…In` reads its answer.
 *
 * A change is several statements in one message. The first takes a lock, and the statements after it have snapshots that the server takes under the lock. So
 * versions, generations and fences are in the order of the commits, and two changes of many rows cannot block each other (deadlock). `versioned-change.ts` makes the
 * changes of keys and revocations. Read it, `api-keys.ts` and this file first; the rest is alike.
 */

/** Makes SQL of each method of `KeyStore`, and reads its answer. */
export class PostgresKeyStore implements KeyStore {
  readonly #use: () => PgConnections;

  /** @param use Throws while the store is not open. */
  constructor(use: () => PgConnections) {
    this.#use = use;
  }

  async keyChanges(after: number): Promise<KeyChanges> {
    checkVersion(after);
    return this.#use().glance(changesCall(after), ([row]) => changesIn(row!));
  }

  async findKeys(ids: readonly string[]): Promise<readonly KeyRecord[]> {
    checkKeys(ids.length, FIND_MAX_KEYS);
    return this.#use().glance(findCall(ids), ([row]) => keysIn(row!));
  }

  async listKeys({ after, limit }: { readonly after: string; readonly limit: number }): Promise<readonly KeyRecord[]> {
    checkKeys(limit, LIST_MAX_KEYS);
    return this.#use().read(listCall(after, limit), ([row]) => keysIn(row!));
  }

  async createKey(key: NewKey): Promise<KeyRecord | undefined> {
    checkNewKey(key);
    return this.#change(createCall(key));
  }

  async rotateKey(id: string, secret: NewSecret): Promise<KeyRecord | undefined> {
    checkSecret(secret);
    return this.#change(rotateCall(id, secret));
  }

  async revokeKey(id: string): Promise<KeyRecord | undefined> {
    return this.#change(revokeCall(id));
  }

  async noteUse(ids: readonly string[]): Promise<void> {
    checkKeys(ids.length, NOTE_MAX_KEYS);
    await this.#use().read(noteUseCall(ids), () => undefined);
  }

  #change(call: string): Promise<KeyRecord | undefined> {
    return this.#use().change(call, ([row]) => keyIn(row!));
  }
}
