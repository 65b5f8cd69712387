import type { KeyChanges, KeyRecord, KeyStore, NewKey, NewSecret } from '../../contracts/key-store.ts';
import type { KeyCall, KeyCalls } from './api-keys.ts';

/**
 * This room is SQL on SQLite for everything but messages: keys, sessions, tickets, topics, usage, erasures, webhooks, connectors. Each file's functions
 * run in a worker thread, inside a transaction. Arguments come in and rows go out as the contracts in `store/contracts/` say.
 */

/** Performs one call of `ApiKeys` in a transaction of its own. */
export type CallKeys = <Name extends KeyCall>(name: Name, argument: KeyCalls[Name]['argument']) => Promise<KeyCalls[Name]['answer']>;

/** Turns each call into one of `ApiKeys`. */
export class SqliteKeyStore implements KeyStore {
  readonly #call: CallKeys;

  constructor(call: CallKeys) {
    this.#call = call;
  }

  keyChanges(after: number): Promise<KeyChanges> {
    return this.#call('keyChanges', { after });
  }

  findKeys(ids: readonly string[]): Promise<readonly KeyRecord[]> {
    return this.#call('findKeys', { ids });
  }

  listKeys({ after, limit }: { readonly after: string; readonly limit: number }): Promise<readonly KeyRecord[]> {
    return this.#call('listKeys', { after, limit });
  }

  createKey({ id, name, permissions, digest, lifetimeMs }: NewKey): Promise<KeyRecord | undefined> {
    return this.#call('createKey', { id, name, permissions, digest: alone(digest), lifetimeMs });
  }

  rotateKey(id: string, { digest, overlapMs }: NewSecret): Promise<KeyRecord | undefined> {
    return this.#call('rotateKey', { id, digest: alone(digest), overlapMs });
  }

  revokeKey(id: string): Promise<KeyRecord | undefined> {
    return this.#call('revokeKey', { id });
  }

  noteUse(ids: readonly string[]): Promise<void> {
    return this.#call('noteUse', { ids });
  }
}

/** In memory of its own: what a slice is cut from would cross to the worker with it. */
export function alone(digest: Uint8Array): Uint8Array {
  return Uint8Array.from(digest);
}
