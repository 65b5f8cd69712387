import type Database from 'better-sqlite3';
import type { Wiped } from '../contracts/erasure-store.ts';
import { writeTransaction, type SqliteConnection } from './files/connection.ts';
import { truncateWal } from './files/write-ahead-log.ts';

/**
 * Erased data leave copies. Retention moves rows between pages, and freed pages keep their old content. The write-ahead log keeps earlier versions of pages. So
 * all free pages are taken by a table of zeros, step by step, and given back. Then the write-ahead log is emptied. How far that has come stands with the
 * erasure: whichever process comes next goes on there.
 *
 * That is one round. Data erased after the free pages were taken waits for the next round. So a round ends, and returns its pages, under any number of erasures.
 */

/** The states of `wiped`: copies may be anywhere in the files; the free pages are zeros; the write-ahead log was emptied after that. */
const UNWIPED_CODE = 0;
const PAGES_WIPED_CODE = 1;
const WIPED_CODE = 2;

/** How many free pages one step overwrites: appends may wait for the step. */
const WIPE_STEP_PAGES = 256;
/** Bytes that SQLite itself needs in each page and for the row, which the zeros do not fill. */
const FILLER_PAGE_BYTES = 4;
const FILLER_ROW_BYTES = 64;

/** One step. */
export function wipe(sqliteConnection: SqliteConnection, deadline: number): Wiped {
  const { db, files } = sqliteConnection;
  const newest = db.prepare<[number], number | null>('SELECT max(version) FROM erasures WHERE wiped = ?').pluck();
  const mark = (version: number, wiped: number): void => void db.prepare('UPDATE erasures SET wiped = ? WHERE version <= ? AND wiped < ?').run(wiped, version, wiped);
  const unwiped = newest.get(UNWIPED_CODE) ?? undefined;
  const pagesWiped = newest.get(PAGES_WIPED_CODE) ?? undefined;
  if (unwiped !== undefined && pagesWiped === undefined) {
    writeTransaction(sqliteConnection, deadline, () => {
      if (takeFreePages(db)) mark(unwiped, PAGES_WIPED_CODE);
    });
    return 'more';
  }
  // Also after all is done: another process may have taken pages meanwhile.
  if (db.prepare('SELECT 1 FROM filler LIMIT 1').get() !== undefined) {
    writeTransaction(sqliteConnection, deadline, () => db.prepare('DELETE FROM filler WHERE id IN (SELECT id FROM filler LIMIT 1)').run());
    return 'more';
  }
  if (pagesWiped === undefined) return 'done';
  if (!truncateWal({ db, files })) return 'held-up';
  writeTransaction(sqliteConnection, deadline, () => mark(pagesWiped, WIPED_CODE));
  return unwiped === undefined ? 'done' : 'next-round';
}

/** Returns whether none is left. */
function takeFreePages(db: Database.Database): boolean {
  const free = Math.min(WIPE_STEP_PAGES, freePages(db));
  const pageBytes = db.pragma('page_size', { simple: true }) as number;
  if (free > 0) db.prepare('INSERT INTO filler (zeros) VALUES (zeroblob(?))').run(free * (pageBytes - FILLER_PAGE_BYTES) - FILLER_ROW_BYTES);
  return freePages(db) === 0;
}

function freePages(db: Database.Database): number {
  return db.pragma('freelist_count', { simple: true }) as number;
}
