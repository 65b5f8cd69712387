// @ts-check
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

/**
 * What has to be there before anything else is loaded: Node.js, and the packages. Without them an import fails with a stack that says neither. Entry points
 * load this file first (`--import` does so before a TypeScript file, which an older Node cannot even read).
 */

/** The oldest Node that runs TypeScript as it is, and has all that is used: as package.json says. */
const NODE_MAJOR_VERSION = 24;

const { dependencies } = /** @type {{ readonly dependencies: Readonly<Record<string, string>> }} */ (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));
/** Where Node looks for packages. Another project's, which has installed this one, has them beside it. */
const folders = (createRequire(import.meta.url).resolve.paths('x') || []).filter((folder) => basename(folder) === 'node_modules');
const missing = Object.keys(dependencies).find((name) => !folders.some((folder) => existsSync(join(folder, name))));
const isOld = Number.parseInt(process.versions.node, 10) < NODE_MAJOR_VERSION;

if (missing !== undefined || isOld) {
  const sentences = [
    ...(missing === undefined ? [] : [`The package ${missing} is not installed: run "npm ci" first`]),
    ...(isOld ? [`Tidings needs Node.js ${NODE_MAJOR_VERSION} or newer; this is ${process.versions.node}`] : []),
    // It is one of the packages for development.
    ...(missing !== undefined && isOld ? ['"npm ci" brings it along'] : []),
  ];
  process.stderr.write(`${sentences.join('. ')}\n`);
  process.exit(1);
}
