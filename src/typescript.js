// @ts-check
import { readFileSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Node runs TypeScript, but not below a folder `node_modules`, where Tidings lies if another project has installed it. There this file removes the types from
 * Tidings' own files, with Node's own function. `--import` loads it, so that threads have it too.
 */

const OWN = new URL('.', import.meta.url).href;
/** Without it, Node warns at each start that its function is experimental. */
const QUIET = '--disable-warning=ExperimentalWarning';

/** Whether Node refuses the TypeScript of this program. */
export function isInPackages() {
  return OWN.includes('/node_modules/');
}

/** Replaces the process by one that loads this file with `--import`, unless it did. Windows cannot replace processes, so the threads of SQLite do not start there. */
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
