import { createHash, randomUUID } from 'node:crypto';
import type { Permissions } from '../../src/model/permissions.ts';
import type { KeyRecord, KeyStore, NewKey, OpenedKeyStore } from '../../src/store/contracts/key-store.ts';
import type { Store } from '../../src/store/store.ts';
import type { Scope } from '../support/temp.ts';
import type { TestDatabase } from './store-kit.ts';

/** What the contract of keys needs of an implementation: databases to run it on. */
export type KeyDatabaseFactory = (t: Scope) => Promise<KeyDatabase>;

/** An empty database that goes away with the test. */
export interface KeyDatabase extends TestDatabase {
  store(): Store & { readonly keys: KeyStore };
  /** Its keys as a command opens them. */
  command(): Promise<OpenedKeyStore>;
  /** Adds keys past the store. They are called `filled` and a number of six digits, and took versions in that order. Where they have ended, they did so in that order, a millisecond apart, the last just now. */
  fillKeys(from: number, to: number, isEnded: boolean): Promise<void>;
  /** Makes every key, or one, so many milliseconds older. */
  ageKeys(milliseconds: number, id?: string): Promise<void>;
}

/** Opens an instance, and closes it with the test. */
export async function openInstance(t: Scope, database: KeyDatabase): Promise<ReturnType<KeyDatabase['store']>> {
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  return store;
}

/** Two instances on one database. */
export interface Instances {
  readonly database: KeyDatabase;
  readonly store: ReturnType<KeyDatabase['store']>;
  /** The keys of the other instance. */
  readonly other: KeyStore;
}

export const NOTHING: Permissions = { publish: [], subscribe: [], admin: false, operate: false };

export function newKey(id: string, parts: Partial<NewKey> = {}): NewKey {
  return { id, name: `the key ${id}`, permissions: NOTHING, digest: sha256(randomUUID()), lifetimeMs: undefined, ...parts };
}

export function sha256(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest();
}

/** The digests of the secrets that are good, as text. */
export function digestsOf(key: KeyRecord | undefined): string[] {
  return (key?.secrets ?? []).map(({ digest }) => hex(digest));
}

export function hex(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex');
}

export function idsOf(keys: readonly KeyRecord[]): string[] {
  return keys.map(({ id }) => id);
}

/** A key that is there. */
export async function find(keys: KeyStore, id: string): Promise<KeyRecord> {
  const [key] = await keys.findKeys([id]);
  if (key === undefined) throw new Error(`there is no key ${id}`);
  return key;
}

/** Every key, page by page. */
export async function listAll(keys: KeyStore, limit = 1_000): Promise<KeyRecord[]> {
  const all: KeyRecord[] = [];
  for (;;) {
    const page = await keys.listKeys({ after: all.at(-1)?.id ?? '', limit });
    all.push(...page);
    if (page.length < limit) return all;
  }
}

/** Each method, as a call that can be made again. */
export function everyKeyCall(keys: KeyStore): (() => Promise<unknown>)[] {
  return [
    () => keys.keyChanges(0), () => keys.findKeys(['a']), () => keys.listKeys({ after: '', limit: 1 }), () => keys.createKey(newKey('b')),
    () => keys.rotateKey('a', { digest: sha256('x'), overlapMs: 0 }), () => keys.revokeKey('a'), () => keys.noteUse(['a']),
  ];
}

export async function versionOf(keys: KeyStore): Promise<number> {
  return (await keys.keyChanges(0)).version;
}
