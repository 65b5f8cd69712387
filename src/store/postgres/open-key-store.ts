import { NO_LOG, type KeyStoreOptions, type OpenedKeyStore } from '../contracts/key-store.ts';
import { StoreError } from '../store.ts';
import { appliedMigrations } from './applied-migrations.ts';
import { PgConnections } from './connection/connection-pool.ts';
import { PostgresKeyStore } from './records/key-store.ts';
import { applyMigrations } from './migrate.ts';

/**
 * Opens the API keys of a database for a command. Instances may use the database at the same time. It begins no epoch. Like an instance it makes a missing log
 * (unless `isMaking` is false), and applies missing migrations, except long ones, which the next instance applies. Rejects with a `StoreError`.
 */
export async function openKeyStore(url: string, { isMaking = true }: KeyStoreOptions = {}): Promise<OpenedKeyStore> {
  const pgConnections = new PgConnections({ url, maxQueryConnections: 1 });
  try {
    const isNew = await pgConnections.session(async (ask) => {
      const hasNone = (await appliedMigrations(ask)).length === 0;
      if (hasNone && !isMaking) throw new StoreError('unavailable', NO_LOG);
      await applyMigrations(ask);
      return hasNone;
    });
    return Object.assign(new PostgresKeyStore(() => pgConnections), { isNew, close: () => pgConnections.close() });
  } catch (error) {
    await pgConnections.close();
    throw error;
  }
}
