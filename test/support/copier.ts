/** Copies a database while others write to it, as `sqlite3`'s `.backup` does: `node copier.ts <file> <copy>`. */
import Database from 'better-sqlite3';

/** In one step: what others write between two would begin it again. */
const ALL_PAGES = 2 ** 31 - 1;

const [, , file, copy] = process.argv;
const db = new Database(file, { timeout: 60_000, fileMustExist: true });
await db.backup(copy!, { progress: () => ALL_PAGES });
db.close();
process.stdout.write('copied\n');
