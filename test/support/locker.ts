/**
 * Another process on the database that is stopped in the middle of a commit: `node locker.ts <file>`. It takes the write lock, writes,
 * says so, and stops. When it is told to go on it commits.
 */
import Database from 'better-sqlite3';

const db = new Database(process.argv[2], { timeout: 60_000, fileMustExist: true });
db.exec('BEGIN IMMEDIATE');
db.exec('UPDATE head SET seq = seq');
process.stdout.write('stopped inside a commit\n', () => {
  process.kill(process.pid, 'SIGSTOP');
  db.exec('COMMIT');
  db.close();
  process.stdout.write('committed\n');
});
