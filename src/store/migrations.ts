import { fileURLToPath } from 'node:url';
import { readMigrationFiles, type MigrationMeta } from 'drizzle-orm/migrator';
import { StoreError } from './store.ts';

/**
 * The migrations that a database lacks, oldest first, from the files that drizzle-kit wrote. Refuses a database that a newer version made.
 *
 * @param newestApplied When the newest migration that the database has was written, in milliseconds since 1970; 0 for a new database.
 */
export function missingMigrations(kind: 'sqlite' | 'postgres', newestApplied: number): readonly MigrationMeta[] {
  const known = readMigrationFiles({ migrationsFolder: fileURLToPath(new URL(`../../migrations/${kind}`, import.meta.url)) });
  const newestKnown = Math.max(...known.map((migration) => migration.folderMillis));
  if (newestApplied > newestKnown) {
    throw new StoreError('unavailable', `the database was made by a newer version of Tidings (its schema is of ${new Date(newestApplied).toISOString()}, `
      + `this program knows schemas up to ${new Date(newestKnown).toISOString()}): start that version, or restore a copy from before the update`);
  }
  return known.filter((migration) => migration.folderMillis > newestApplied);
}
