import type Database from 'better-sqlite3';

/**
 * How SQLite overwrites deleted rows (https://www.sqlite.org/pragma.html#pragma_secure_delete). FAST overwrites them in pages that are written anyway, at no
 * extra write. So no page keeps a copy of a moved row. ON, for an erasure, also overwrites the pages that become free.
 */
export const SECURE_DELETE_USUALLY = 'secure_delete = FAST';
const SECURE_DELETE_WHOLLY = 'secure_delete = ON';

/** Runs a change, and overwrites the data in the pages that it frees. */
export function secureDelete(db: Database.Database, work: () => void): void {
  db.pragma(SECURE_DELETE_WHOLLY);
  try {
    work();
  } finally {
    db.pragma(SECURE_DELETE_USUALLY);
  }
}
