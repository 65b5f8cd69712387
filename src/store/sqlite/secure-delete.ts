import type Database from 'better-sqlite3';

/**
 * Whether SQLite overwrites what it deletes (https://www.sqlite.org/pragma.html#pragma_secure_delete). Always within pages that are written in any case, which costs no more writes: so no page keeps
 * a copy of a row that was moved to another. For an erasure, pages that become free are overwritten, too.
 */
export const SECURE_DELETE_USUALLY = 'secure_delete = FAST';
const SECURE_DELETE_WHOLLY = 'secure_delete = ON';

/** Does something of which the pages that become free must not tell. */
export function secureDelete(db: Database.Database, work: () => void): void {
  db.pragma(SECURE_DELETE_WHOLLY);
  try {
    work();
  } finally {
    db.pragma(SECURE_DELETE_USUALLY);
  }
}
