/**
 * `node test/support/quick.ts` prints the test files that `npm run test:quick` runs: those that start no server, no browser and no other process.
 * Nobody keeps a list of them. A file is one of them when nothing that it imports, directly or by a detour, can start one of these.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { importsOf } from './imports.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What starts processes or threads, listens on ports, or talks to servers. */
const STARTERS = /^(node:(child_process|cluster|dgram|http2?|https|net|tls|worker_threads)|@?fastify|better-sqlite3|eventsource|ioredis|pg|playwright-core)(\/|$)/;
/** What is taken from these that does none of it. */
const HARMLESS = new Set(['isIP', 'isIPv4', 'isIPv6']);

/** From a file's path, relative to the project, to the paths and packages that it needs when it runs. */
type Needs = (file: string) => readonly string[];

/** A chain of imports from a file to something that starts a server or a process; undefined where there is none. */
export function chainToStarter(file: string, needs: Needs = needsOf, seen = new Set<string>()): readonly string[] | undefined {
  if (STARTERS.test(file)) return [file];
  if (seen.has(file)) return undefined;
  seen.add(file);
  for (const target of needs(file)) {
    const chain = chainToStarter(target, needs, seen);
    if (chain !== undefined) return [file, ...chain];
  }
  return undefined;
}

function needsOf(file: string): readonly string[] {
  const path = join(ROOT, file);
  // Packages are asked for nothing, nor are paths that only stand in a text.
  if (!/^(src|test|bench)\/.*\.[jt]s$/.test(file) || !existsSync(path)) return [];
  return importsOf(readFileSync(path, 'utf8'))
    .filter(({ typeOnly, names }) => !typeOnly && names?.every((name) => HARMLESS.has(name)) !== true)
    .map(({ target }) => (target.startsWith('.') ? posix.join(posix.dirname(file), target) : target));
}

export function quickFiles(): readonly string[] {
  return globSync('test/**/*.test.ts', { cwd: ROOT }).map((path) => path.replaceAll('\\', '/')).filter((file) => chainToStarter(file) === undefined).toSorted();
}

if (import.meta.main) process.stdout.write(`${quickFiles().join('\n')}\n`);
