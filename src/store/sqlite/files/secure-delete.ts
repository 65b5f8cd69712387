import type Database from 'better-sqlite3';

/**
 * How SQLite overwrites deleted rows (https://www.sqlite.org/pragma.html#pragma_secure_delete). FAST overwrites a row if its page is written anyway, so it
 * costs nothing. ON, which erasures use, also overwrites the pages that become free.
 */
export const SECURE_DELETE_USUALLY = 'secure_delete = FAST';
const SECURE_DELETE_WHOLLY = 'secure_delete = ON';

/** Runs a change that also overwrites the pages that it frees. */
export function secureDelete(db: Database.Database, work: () => void): void {
  db.pragma(SECURE_DELETE_WHOLLY);
  try {
    work();
  } finally {
    db.pragma(SECURE_DELETE_USUALLY);
  }
}
