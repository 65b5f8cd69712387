// @ts-check
import './requirements.js';
import { lstatSync, mkdirSync } from 'node:fs';
import module from 'node:module';
import { join } from 'node:path';

/**
 * The entry point of `npm start`. It turns on Node's compile cache, and then loads main.ts; with several workers, supervise.ts. With the cache, a start needs a
 * third less time and memory.
 *
 * Node caches only modules that are loaded after that. So this file imports main.ts last. It is JavaScript, because for TypeScript Node would first load its compiler, which
 * it does not need for cached modules.
 *
 * Node writes the cache when the process ends. An earlier write would take a third of a second, for nothing in a container that loses its files.
 */

// By default, SIGUSR1 opens Node's inspector, in which every user of this machine could run code. `node --inspect src/serve.js` still opens it.
process.on('SIGUSR1', () => undefined);

/** In the folder of the packages, so that `npm ci` removes the cache with them. Node has a subfolder for each of its versions and each user. */
const FOLDER = join(import.meta.dirname, '../node_modules/.cache/tidings');

/** The permission bits for writes by the group and by other users. */
const WRITABLE_BY_OTHERS = 0o022;

if (module.getCompileCacheDir() === undefined && isOwn(FOLDER) && module.enableCompileCache(FOLDER).status === module.constants.compileCacheStatus.ENABLED) {
  // Threads of the database read this variable: each turns its own cache on.
  process.env['NODE_COMPILE_CACHE'] = FOLDER;
}

const [{ configure, exitIfWrong }, { startsWorkers }] = await Promise.all([import('./config/config.ts'), import('./workers/place.ts')]);
const { WORKERS } = configure();
await (exitIfWrong(() => startsWorkers(WORKERS)) ? import('./supervise.ts') : import('./main.ts'));

/**
 * Makes the folder if it is missing. Returns false if it cannot be made, as on a read-only file system, or if another user could write there: Node runs the
 * code in it. Without the folder, starts only take longer.
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
