// @ts-check
import './requirements.js';
import { lstatSync, mkdirSync } from 'node:fs';
import module from 'node:module';
import { join } from 'node:path';

/**
 * The entry point of `npm start`. What Node has compiled is kept when the process ends, and the next start needs a third less time and memory.
 * Only what is loaded later is kept: so main.ts, with all that it imports, is imported when everything else in this file is done. Where there are several workers, that is supervise.ts. And this
 * file is JavaScript: Node would load its compiler of TypeScript for it, and for nothing else.
 *
 * The cache is not written before the end: that takes a third of a second, which a container whose files do not outlive it would lose at every start.
 */

// Node would open its inspector, in which everybody on this machine can run anything. `node --inspect src/serve.js` still does.
process.on('SIGUSR1', () => undefined);

/** Beside its source: replacing the packages (`npm ci`) removes it with them. Node separates versions and users in it. */
const FOLDER = join(import.meta.dirname, '../node_modules/.cache/tidings');

/** By permissions: writing by the group, and by all others. */
const WRITABLE_BY_OTHERS = 0o022;

if (module.getCompileCacheDir() === undefined && isOwn(FOLDER) && module.enableCompileCache(FOLDER).status === module.constants.compileCacheStatus.ENABLED) {
  // For the threads of the database: each enables its own.
  process.env['NODE_COMPILE_CACHE'] = FOLDER;
}

const [{ configure, exitIfWrong }, { startsWorkers }] = await Promise.all([import('./config/config.ts'), import('./workers/place.ts')]);
const { WORKERS } = configure();
await (exitIfWrong(() => startsWorkers(WORKERS)) ? import('./supervise.ts') : import('./main.ts'));

/**
 * Makes the folder, if it is missing and may be made: on a file system that is read-only, or where the packages belong to somebody else, nothing is kept and
 * nothing is lost but time. What lies in it is run, so nobody else may write there.
 * @param {string} folder
 */
function isOwn(folder) {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = lstatSync(folder);
    return process.getuid === undefined || (uid === process.getuid() && (mode & WRITABLE_BY_OTHERS) === 0);
  } catch {
    return false;
  }
}
