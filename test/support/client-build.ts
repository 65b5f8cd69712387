import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { minify } from 'terser';
import { LATER_MODULES } from '../../src/http/routes/client.ts';
import { writePage } from './page-build.ts';

/**
 * `npm run build`: makes the page (page-build.ts), and `src/client/built/` from the sources of the client library: one module for browsers and servers, those that it loads when they are used, one for React, and their types. It is committed, because an installation without development packages has
 * nothing to build it with, and Node.js takes no TypeScript below `node_modules`. A test builds it anew and compares.
 */

const ROOT = join(import.meta.dirname, '../..');
const SOURCES = join(ROOT, 'src/client');
/** The library, what it loads when it is used, and what programs with React import. */
const MODULES = ['client.js', ...LATER_MODULES.map((name) => `client/${name}`), 'react.js'];
/** Where types begin; what they refer to comes along. */
const TYPES = ['client.d.ts', 'react.d.ts'];

/** @returns The text of each file of `built/`, by its name. */
export async function buildClient(): Promise<Map<string, string>> {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string };
  const modules = await Promise.all(MODULES.map(async (name): Promise<[string, string]> => {
    const { outputFiles } = await build({
      entryPoints: [join(SOURCES, `${basename(name, '.js')}.ts`)], bundle: true, write: false, format: 'esm', target: 'es2022', charset: 'utf8', legalComments: 'none', external: ['react'],
      plugins: [{
        name: 'what is loaded later is a module of its own',
        setup: (bundler) => bundler.onResolve({ filter: /^\.\// }, ({ kind, path }) => kind === 'dynamic-import' ? { path: `${name === 'client.js' ? './client' : '.'}/${basename(path, '.ts')}.js`, external: true } : undefined),
      }],
    });
    const { code } = await minify(outputFiles[0]!.text, {
      module: true, ecma: 2020,
      compress: { passes: 3, pure_getters: true, unsafe_arrows: true, arrows: false, reduce_funcs: false, lhs_constants: false, directives: false },
      format: { preamble: `/* Tidings ${version} MIT */`, comments: false },
    });
    return [name, `${code}\n`];
  }));
  return new Map([...modules, ...await buildTypes()]);
}

async function buildTypes(): Promise<Map<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'tidings-types-'));
  try {
    // Without the loaders of the test runner, which it adds to each process.
    await promisify(execFile)('env', ['-u', 'NODE_OPTIONS', join(ROOT, 'node_modules/.bin/tsc'), '-p', SOURCES, '--outDir', folder]);
    const files = new Map<string, string>();
    const take = async (name: string): Promise<void> => {
      if (files.has(name)) return;
      // The compiler leaves the names of sources in types.
      const text = (await readFile(join(folder, name), 'utf8')).replaceAll(/(from '\.\/[a-z-]+)\.ts'/g, "$1.js'");
      files.set(name, text);
      for (const [, target] of text.matchAll(/from '\.\/([a-z-]+)\.js'/g)) await take(`${target}.d.ts`);
    };
    for (const name of TYPES) await take(name);
    return files;
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const folder = join(SOURCES, 'built');
  await rm(folder, { recursive: true, force: true });
  for (const [name, text] of await buildClient()) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  await writePage();
}
