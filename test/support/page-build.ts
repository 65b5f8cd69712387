import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'vite';

/**
 * Makes `src/page/built/` from the sources of the page: one module, with the client library and Preact in it. It is committed for the same reasons as the build of the client library, and a test
 * builds it anew and compares.
 */

const SOURCES = join(import.meta.dirname, '../../src/page');

/** @returns The text of each file of `built/`, by its name. */
export async function buildPage(): Promise<Map<string, string>> {
  const made = await build({
    configFile: false, root: SOURCES, publicDir: false, logLevel: 'warn', envDir: false, mode: 'production',
    build: {
      write: false, target: 'es2022', modulePreload: false, reportCompressedSize: false, license: false,
      rolldownOptions: { input: join(SOURCES, 'main.tsx'), output: { entryFileNames: 'page.js', codeSplitting: false } },
    },
  });
  if (!('output' in made)) throw new Error('Vite has built something else than one page.');
  return new Map(made.output.map((file) => [file.fileName, file.type === 'chunk' ? file.code : String(file.source)]));
}

/** Writes what was built. */
export async function writePage(): Promise<void> {
  const folder = join(SOURCES, 'built');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, text] of await buildPage()) await writeFile(join(folder, name), text);
}
