import { checkKeys, checkNewKey, checkSecret, checkVersion } from '../../rows/key-rows.ts';
import { FIND_MAX_KEYS, LIST_MAX_KEYS, NOTE_MAX_KEYS, type KeyChanges, type KeyRecord, type KeyStore, type NewKey, type NewSecret } from '../../contracts/key-store.ts';
import { changesCall, changesIn, createCall, findCall, keyIn, keysIn, listCall, noteUseCall, revokeCall, rotateCall } from './api-keys.ts';
import type { PgConnections } from '../connection/connection-pool.ts';

/**
 * This room is SQL on PostgreSQL for everything but messages: keys, sessions, tickets, topics, usage, erasures, webhooks, connectors. Arguments come in
 * and rows go out as the contracts in `store/contracts/` say. Every call is one statement.
 */

/** Turns each call into SQL, and the answer into what `KeyStore` promises. */
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
