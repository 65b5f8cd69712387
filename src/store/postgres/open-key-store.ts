import type { OpenedKeyStore } from '../key-store.ts';
import { PgConnections } from './connection-pool.ts';
import { PostgresKeyStore } from './key-store.ts';
import { applyMigrations } from './migrate.ts';

/**
 * The keys of a database, beside instances or before the first of them, without beginning an epoch. Like an instance it brings the schema up to date, and leaves
 * what takes long to the next instance. For the command line. Rejects with a `StoreError`.
 */
export async function openKeyStore(url: string): Promise<OpenedKeyStore> {
  const pgConnections = new PgConnections({ url, maxQueryConnections: 1 });
  try {
    await pgConnections.session(applyMigrations);
  } catch (error) {
    await pgConnections.close();
    throw error;
  }
  return Object.assign(new PostgresKeyStore(() => pgConnections), { close: () => pgConnections.close() });
}
