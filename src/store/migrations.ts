import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { StoreError } from './store.ts';

/** A migration, from the files that drizzle-kit generated. A version is the time at which a migration was generated, in milliseconds since 1970. */
export interface Migration {
  readonly hash: string;
  readonly statements: readonly string[];
  /** The version of the schema after this migration. */
  readonly version: number;
  /**
   * The version that a program must know to use the schema after this migration. The migration's file names it in a line
   * `-- compatible: <name of a migration>`. Without that line it is the migration's own version, so no older program opens the database any more.
   */
  readonly compatible: number;
  /** Whether it runs in the background of a start, because it may take hours: it only makes indexes `CONCURRENTLY`, outside of a transaction. The program works without them until they exist. */
  readonly isLong: boolean;
}

/** A migration as the database remembers it. `compatible` is undefined if one of the first versions of Tidings applied it. */
export interface AppliedMigration {
  readonly version: number;
  readonly compatible: number | undefined;
}

/** The line that names the migration for `Migration.compatible`. */
const COMPATIBLE = /^-- compatible: (\S+)$/m;
const LONG_STATEMENT = /^(?:\s|--.*\n)*CREATE (UNIQUE )?INDEX CONCURRENTLY /;

/** The error for a database with tables of another program. */
export function foreignDatabase(): StoreError {
  return new StoreError('unavailable', 'the database belongs to another program: it has tables or migrations that Tidings did not make. Nothing was changed; name another database in DATABASE_URL');
}

/** The migrations that a database lacks, oldest first. Throws if another program made the database, or a newer version changed it so that this program cannot use it. */
export function missingMigrations(kind: 'sqlite' | 'postgres', applied: readonly AppliedMigration[]): readonly Migration[] {
  const known = readMigrations(fileURLToPath(new URL(`../../migrations/${kind}`, import.meta.url)));
  const versions = new Set(applied.map(({ version }) => version));
  // Released migrations are never edited, so every log has the first one.
  if (applied.length > 0 && !versions.has(known[0]!.version)) throw foreignDatabase();
  const newestKnown = Math.max(...known.map(({ version }) => version));
  const newer = applied.filter(({ version }) => version > newestKnown);
  const needed = Math.max(0, ...newer.map(({ version, compatible }) => compatible ?? version));
  if (needed > newestKnown) {
    throw new StoreError('unavailable', `the database was made by a newer version of Tidings (it needs a program that knows its schema of ${new Date(needed).toISOString()}, `
      + `this one knows schemas up to ${new Date(newestKnown).toISOString()}): start that version, or restore a copy from before the update`);
  }
  return known.filter(({ version }) => !versions.has(version));
}

function readMigrations(folder: string): Migration[] {
  const { entries } = JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as { entries: { tag: string; when: number }[] };
  return readMigrationFiles({ migrationsFolder: folder }).map(({ sql, hash, folderMillis: version }) => {
    const name = COMPATIBLE.exec(sql[0]!)?.[1];
    const compatible = name === undefined ? version : entries.find(({ tag }) => tag === name)?.when;
    if (compatible === undefined) throw new Error(`${folder}: there is no migration ${name}`);
    return { hash, statements: sql, version, compatible, isLong: sql.every((statement) => LONG_STATEMENT.test(statement)) };
  });
}
