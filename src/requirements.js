// @ts-check
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

/**
 * Checks the version of Node.js and the packages, before anything else is loaded. Otherwise an import would fail with a stack that names neither. Entry points
 * load this file first. `--import` does so before a TypeScript file, which an older Node cannot read.
 */

/** The oldest version of Node that can run this service. package.json has the same number. */
const NODE_MAJOR_VERSION = 24;

const { dependencies } = /** @type {{ readonly dependencies: Readonly<Record<string, string>> }} */ (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));
/** The folders in which Node looks for packages. If another project has installed Tidings, the packages lie beside it. */
const folders = (createRequire(import.meta.url).resolve.paths('x') || []).filter((folder) => basename(folder) === 'node_modules');
const missing = Object.keys(dependencies).find((name) => !folders.some((folder) => existsSync(join(folder, name))));
const isOld = Number.parseInt(process.versions.node, 10) < NODE_MAJOR_VERSION;

if (missing !== undefined || isOld) {
  const sentences = [
    ...(missing === undefined ? [] : [`The package ${missing} is not installed: run "npm ci" first`]),
    ...(isOld ? [`Tidings needs Node.js ${NODE_MAJOR_VERSION} or newer; this is ${process.versions.node}`] : []),
    // The right Node is one of the packages for development.
    ...(missing !== undefined && isOld ? ['"npm ci" brings it along'] : []),
  ];
  process.stderr.write(`${sentences.join('. ')}\n`);
  process.exit(1);
}
