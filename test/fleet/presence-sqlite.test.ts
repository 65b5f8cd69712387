import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { tempFolder } from '../support/temp.ts';
import { presenceCases } from './presence-cases.ts';

const file = join(tempFolder(t), 'log.db');
const folder = `${file}-presence`;

await presenceCases({
  name: 'one SQLite file',
  env: { DATABASE_URL: `file:${file}` },
  stop: async () => {
    await rm(folder, { recursive: true });
    // Where there is a file no folder can be.
    await writeFile(folder, '');
  },
  start: () => rm(folder),
});
