import { mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'vite';

/**
 * Makes `src/page/built/` from the sources of the page: one module, with the client library and Preact in it, and one for each part that is loaded when somebody looks at it. It is committed for the
 * same reasons as the build of the client library, and a test builds it anew and compares.
 */

const SOURCES = join(import.meta.dirname, '../../src/page');
/** The modules, by their names: where each begins. What `page.js` imports of the others with `import()` stays an import. */
const MODULES: Readonly<Record<string, string>> = { 'page.js': 'main.tsx', 'charts.js': 'fleet/plot.ts' };

/** @returns The text of each file of `built/`, by its name. */
export async function buildPage(): Promise<Map<string, string>> {
  const made = new Map<string, string>();
  for (const name of Object.keys(MODULES)) for (const [file, text] of await buildModule(name)) made.set(file, text);
  return made;
}

async function buildModule(name: string): Promise<[name: string, text: string][]> {
  const later = new Map(Object.entries(MODULES).flatMap(([other, source]) => other === name ? [] : [[basename(source), other] as const]));
  const made = await build({
    configFile: false, root: SOURCES, publicDir: false, logLevel: 'warn', envDir: false, mode: 'production',
    plugins: [{
      name: 'what is loaded later is a module of its own', enforce: 'pre',
      resolveId: (path, importer) => importer !== undefined && path.startsWith('./') && later.has(basename(path)) ? { id: `./${later.get(basename(path))}`, external: true } : undefined,
    }],
    build: {
      write: false, target: 'es2022', modulePreload: false, reportCompressedSize: false, license: false,
      rolldownOptions: { input: join(SOURCES, MODULES[name]!), output: { entryFileNames: name, codeSplitting: false, exports: 'named' }, preserveEntrySignatures: 'strict' },
    },
  });
  if (!('output' in made)) throw new Error('Vite has built something else than one module.');
  return made.output.map((file) => [file.fileName, file.type === 'chunk' ? file.code : String(file.source)]);
}

/** Writes what was built. */
export async function writePage(): Promise<void> {
  const folder = join(SOURCES, 'built');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, text] of await buildPage()) await writeFile(join(folder, name), text);
}
