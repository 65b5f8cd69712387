import type Database from 'better-sqlite3';
import type { Wiped } from '../contracts/erasure-store.ts';
import { writeTransaction, type SqliteConnection } from './files/connection.ts';
import { truncateWal } from './files/write-ahead-log.ts';

/**
 * Overwrites the copies that erased data leaves in the files. Retention moves rows between pages, freed pages keep their old content, and the write-ahead log
 * has earlier versions of pages. A round of wiping has these steps, each a call of `wipe`:
 *
 * 1. Insert rows of zeros into the table `filler` until it has taken all free pages. Mark the erasures so far `PAGES_WIPED_CODE`.
 * 2. Delete these rows, one by one, which gives the pages back.
 * 3. Empty the write-ahead log. Mark the same erasures `WIPED_CODE`.
 *
 * The marks are in the database, so any process can go on with the round. An erasure after step 1 waits for the next round. So a round ends, and gives its
 * pages back, however many erasures come.
 */

/** The column `wiped` of `erasures`. Copies may be anywhere in the files. */
const UNWIPED_CODE = 0;
/** The pages that were free are zeros. */
const PAGES_WIPED_CODE = 1;
/** The write-ahead log was emptied after that. */
const WIPED_CODE = 2;

/** How many free pages one step overwrites. Stops a step from delaying appends for long. */
const WIPE_STEP_PAGES = 256;
/** SQLite uses this many bytes of each page, and of the row, for itself: the zeros do not fill them. */
const FILLER_PAGE_BYTES = 4;
const FILLER_ROW_BYTES = 64;

/** Takes one step of a round. */
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
  // Check it even if no erasure waits: another process may have taken pages in a round that this one has finished.
  if (db.prepare('SELECT 1 FROM filler LIMIT 1').get() !== undefined) {
    writeTransaction(sqliteConnection, deadline, () => db.prepare('DELETE FROM filler WHERE id IN (SELECT id FROM filler LIMIT 1)').run());
    return 'more';
  }
  if (pagesWiped === undefined) return 'done';
  if (!truncateWal({ db, files })) return 'held-up';
  writeTransaction(sqliteConnection, deadline, () => mark(pagesWiped, WIPED_CODE));
  return unwiped === undefined ? 'done' : 'next-round';
}

/** Takes free pages for one step. Returns whether no free page is left. */
function takeFreePages(db: Database.Database): boolean {
  const free = Math.min(WIPE_STEP_PAGES, freePages(db));
  const pageBytes = db.pragma('page_size', { simple: true }) as number;
  if (free > 0) db.prepare('INSERT INTO filler (zeros) VALUES (zeroblob(?))').run(free * (pageBytes - FILLER_PAGE_BYTES) - FILLER_ROW_BYTES);
  return freePages(db) === 0;
}

function freePages(db: Database.Database): number {
  return db.pragma('freelist_count', { simple: true }) as number;
}
