// @ts-check
import { readFileSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Node runs TypeScript as it is, but not below a folder `node_modules`, where this program lies when another project has installed it. There this file takes the types out of the
 * program's own files, with what Node uses itself. `--import` loads it: so threads have it, too.
 */

const OWN = new URL('.', import.meta.url).href;
/** Node would say at each start that what takes the types out may change. */
const QUIET = '--disable-warning=ExperimentalWarning';

/** Whether Node refuses the TypeScript of this program. */
export function isInPackages() {
  return OWN.includes('/node_modules/');
}

/** Where this file was not loaded by `--import`, replaces the process by one that does so. Windows cannot: there the threads of SQLite do not start. */
export function enterPackages() {
  if (process.execArgv.includes(import.meta.url)) return;
  if (process.platform === 'win32' || process.execve === undefined) return;
  process.execve(process.execPath, [process.execPath, QUIET, '--import', import.meta.url, ...process.execArgv, ...process.argv.slice(1)], process.env);
}

if (isInPackages()) {
  module.registerHooks({
    load(url, context, next) {
      if (!url.startsWith(OWN) || !url.endsWith('.ts')) return next(url, context);
      return { format: 'module', shortCircuit: true, source: module.stripTypeScriptTypes(readFileSync(fileURLToPath(url), 'utf8')) };
    },
  });
}
