import type { KeyChanges, KeyRecord, KeyStore, NewKey, NewSecret } from '../../contracts/key-store.ts';
import type { KeyCalls } from './api-keys.ts';
import type { PerformCall } from './side-call.ts';

/**
 * The room `sqlite/records` is SQL on SQLite for everything but messages: one contract of `contracts/` for each kind of record. `Sqlite…Store` is the contract
 * on the main thread; arguments of callers come in there, and records go out. It turns each method into a call (side-call.ts). A class without that prefix
 * performs the calls in a worker, inside a transaction. Some contracts have a file for each of the two classes (`key-store.ts`, `api-keys.ts`); in the
 * others both are in one file. Read `side-call.ts` first, then these two files; the rest is alike.
 */

/** The main thread's end: turns each method into a call of `ApiKeys`. */
export class SqliteKeyStore implements KeyStore {
  readonly #call: PerformCall<KeyCalls>;

  constructor(call: PerformCall<KeyCalls>) {
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
    return this.#call('createKey', { id, name, permissions, digest: ownCopyOf(digest), lifetimeMs });
  }

  rotateKey(id: string, { digest, overlapMs }: NewSecret): Promise<KeyRecord | undefined> {
    return this.#call('rotateKey', { id, digest: ownCopyOf(digest), overlapMs });
  }

  revokeKey(id: string): Promise<KeyRecord | undefined> {
    return this.#call('revokeKey', { id });
  }

  noteUse(ids: readonly string[]): Promise<void> {
    return this.#call('noteUse', { ids });
  }
}

/** Copies a digest. If it is a slice of a larger buffer, the whole buffer would be cloned for the worker. */
export function ownCopyOf(digest: Uint8Array): Uint8Array {
  return Uint8Array.from(digest);
}
