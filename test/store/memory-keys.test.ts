import t from 'tap';
import { NEVER_MS } from '../../src/store/rows/key-rows.ts';
import type { OpenedKeyStore } from '../../src/store/contracts/key-store.ts';
import type { KeyDatabase } from '../contract/key-store-kit.ts';
import { keyStoreContract } from '../contract/key-store.ts';
import { failure } from '../contract/store-kit.ts';
import { MemoryStore } from '../support/memory-store.ts';

/** All instances are one store, whose clock stands still. */
class MemoryDatabase implements KeyDatabase {
  readonly #store = new MemoryStore();

  store(): MemoryStore {
    return this.#store;
  }

  async command(): Promise<OpenedKeyStore> {
    return Object.assign(this.#store.keys, { isNew: false, close: () => Promise.resolve() });
  }

  async fillKeys(from: number, to: number, isEnded: boolean): Promise<void> {
    const { keys, now } = this.#store;
    for (let number = from; number <= to; number++) {
      const id = `filled${String(number).padStart(6, '0')}`;
      keys.rows.set(id, {
        id, name: '', permissions: '{"publish":[],"subscribe":[],"admin":false}', digest: new Uint8Array(32), oldDigest: null, oldExpires: null, created: now, expires: null,
        revoked: isEnded ? now - to + number : null, lastUsed: null, version: ++keys.version,
      });
    }
  }

  async ageKeys(milliseconds: number, only?: string): Promise<void> {
    const { keys } = this.#store;
    const older = (time: number | null): number | null => (time === null || time === NEVER_MS ? time : time - milliseconds);
    for (const [id, row] of keys.rows) {
      if (only !== undefined && id !== only) continue;
      keys.rows.set(id, { ...row, created: row.created - milliseconds, expires: older(row.expires), revoked: older(row.revoked), oldExpires: older(row.oldExpires), lastUsed: older(row.lastUsed) });
    }
  }

  async backup(): Promise<() => Promise<void>> {
    const { keys } = this.#store;
    const [rows, version] = [new Map(keys.rows), keys.version];
    return async () => {
      [keys.rows, keys.version] = [rows, version];
    };
  }

  async clockWasAhead(milliseconds: number): Promise<void> {
    this.#store.commit({}, this.#store.now + milliseconds);
  }

  /** The keys were made older; for the log, the clock stands later. */
  async clockJumped(milliseconds: number): Promise<void> {
    this.#store.now += milliseconds;
    await this.ageKeys(-milliseconds);
  }

  beginEpochs(): Promise<void> {
    throw new Error('the log in memory keeps all its epochs');
  }

  async setLevel(level: number): Promise<void> {
    this.#store.level = level;
  }
}

keyStoreContract(t, 'memory', async () => new MemoryDatabase());

t.test('it fails when a test says so', async (t) => {
  const store = new MemoryStore();
  store.failure = 'unavailable';
  t.equal(await failure(store.keys.keyChanges(0)), 'unavailable');
});
