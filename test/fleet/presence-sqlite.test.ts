import Database from 'better-sqlite3';
import { readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { presenceCases } from './presence-cases.ts';

const file = join(tempFolder(t), 'log.db');
const folder = `${file}-presence`;

await presenceCases({
  name: 'one SQLite file',
  env: { DATABASE_URL: `file:${file}` },
  stop: async () => {
    // Where there is a file no folder can be. The instances make the folder anew as soon as it is gone.
    await until('the folder is gone', async () => {
      await rm(folder, { recursive: true, force: true });
      return writeFile(folder, '').then(() => true, () => false);
    });
  },
  start: () => rm(folder),
  isHeld: () => {
    const [name] = readdirSync(folder).filter((one) => one.endsWith('.db'));
    const db = new Database(join(folder, name!), { timeout: 0 });
    try {
      db.exec('BEGIN IMMEDIATE; ROLLBACK');
      return false;
    } catch (error) {
      if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error;
      return true;
    } finally {
      db.close();
    }
  },
});
