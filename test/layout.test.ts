import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix, relative } from 'node:path';
import t from 'tap';
import { importsOf, type Import } from './support/imports.ts';

/**
 * Imports point one way: contracts and plain types, then the spine, then routes, then app, then main. The spine gets its
 * store, bus and clock handed in; only the composition root names what they are.
 */

const SRC = join(import.meta.dirname, '../src');
const EDGE = new Set(['serve.ts', 'main.ts', 'app.ts', 'config.ts', 'migrate.ts']);
const ROOTS = new Set(['main.ts', 'migrate.ts']);
/** What only makes ready for a root, and then imports it. */
const BEFORE = new Map([['serve.ts', 'main.ts']]);
const CONTRACTS = new Set(['store/store.ts', 'bus/bus.ts']);
const TECHNOLOGY = /^(@?fastify|drizzle-orm|ioredis|better-sqlite3|pg|postgres)(\/|$)/;

/** From a file's path below src, with `/`, to what it imports: paths below src, or the names of packages. */
type Imports = ReadonlyMap<string, readonly string[]>;

function readImports(counts: (one: Import) => boolean = () => true): Imports {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return new Map(files.map((name) => {
    const path = name.replaceAll('\\', '/');
    const targets = importsOf(readFileSync(join(SRC, name), 'utf8')).filter(counts).map(({ target }) => target);
    return [path, targets.map((target) => (target.startsWith('.') ? relative(SRC, join(SRC, dirname(path), target)).replaceAll('\\', '/') : target))];
  }));
}

function isImplementation(path: string): boolean {
  return /^(store|bus)\//.test(path) && !CONTRACTS.has(path);
}

function isSpine(path: string): boolean {
  return !path.includes('/') && !EDGE.has(path);
}

/** Every import that goes the wrong way, as `file -> import`. */
function wrongWay(imports: Imports): string[] {
  const wrong: string[] = [];
  for (const [file, targets] of imports) {
    const folder = posix.dirname(file);
    for (const target of targets) {
      const bad = (isSpine(file) && (TECHNOLOGY.test(target) || target.startsWith('routes/') || target === 'app.ts'))
        || (isImplementation(target) && !ROOTS.has(file) && posix.dirname(target).split('/')[0] !== folder.split('/')[0])
        || (CONTRACTS.has(file) && (TECHNOLOGY.test(target) || isImplementation(target) || EDGE.has(target) || target.startsWith('routes/')))
        || (isImplementation(file) && (/^@?fastify(\/|$)/.test(target) || EDGE.has(target) || target.startsWith('routes/')))
        || (folder.startsWith('routes') && (/^(drizzle-orm|ioredis|better-sqlite3|pg|postgres)(\/|$)/.test(target) || EDGE.has(target)))
        || (ROOTS.has(target) && BEFORE.get(file) !== target)
        || BEFORE.has(target);
      if (bad) wrong.push(`${file} -> ${target}`);
    }
  }
  return wrong;
}

/** The first chain of imports that comes back to where it began. */
function cycle(imports: Imports): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    const start = path.indexOf(file);
    if (start !== -1) return [...path.slice(start), file];
    if (done.has(file)) return undefined;
    done.add(file);
    for (const target of imports.get(file) ?? []) {
      const found = visit(target, [...path, file]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  for (const file of imports.keys()) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

t.test('imports in src point one way', async (t) => {
  t.same(wrongWay(readImports()), []);
});

t.test('no file of src imports itself by a detour', async (t) => {
  // Two types may know each other; two files that run may not need each other first.
  t.equal(cycle(readImports(({ typeOnly }) => !typeOnly))?.join(' -> '), undefined);
});

t.test('every import in src is a file of src, a dependency, or a part of Node', async (t) => {
  const imports = readImports();
  const manifest: { dependencies: Record<string, string> } = JSON.parse(readFileSync(join(SRC, '../package.json'), 'utf8'));
  const packages = Object.keys(manifest.dependencies);
  const isKnown = (target: string): boolean => imports.has(target)
    || target === '../package.json'
    || builtinModules.includes(target.replace(/^node:/, ''))
    || packages.some((name) => target === name || target.startsWith(`${name}/`));
  t.same([...imports].flatMap(([file, targets]) => targets.filter((target) => !isKnown(target)).map((target) => `${file} -> ${target}`)), []);
});

t.test('the rules themselves find what breaks them', async (t) => {
  t.same(importsOf("import type { A } from 'a';\nimport { type B } from 'b';\nimport type from 'c';\nexport type { D } from 'd';\nexport type * from 'e'")
    .filter(({ typeOnly }) => typeOnly).map(({ target }) => target), ['a', 'd', 'e']);
  t.same(importsOf([
    "import { a } from './a.ts';", "import type {\n  B,\n  C,\n} from \"./b.ts\";", "import './c.ts';", "export * from './d.ts';", "export { e } from './e.ts';",
    "import f, { type G } from 'f';", "const h = await import('./h.ts');", "type I = import('./i.ts').I;", "import type * as j from './j.ts'",
    "// import './comment.ts';", "/* import k from './k.ts'; */", "const url = 'https://example.org'; import './l.ts';",
    "const text = `\nimport m from './m.ts';\n`;", 'const from = 5; call(from);',
  ].join('\n')).map(({ target }) => target).sort(), ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './h.ts', './i.ts', './j.ts', './l.ts', 'f']);
  const wrong = (file: string, target: string): boolean => wrongWay(new Map([[file, [target]]])).length > 0;
  for (const [file, target] of [
    ['tail.ts', 'fastify'], ['tail.ts', '@fastify/sse'], ['tail.ts', 'drizzle-orm/pg-core'], ['reader.ts', 'ioredis'], ['reader.ts', 'better-sqlite3'],
    ['publish.ts', 'routes/events.ts'], ['publish.ts', 'store/sqlite.ts'], ['publish.ts', 'bus/redis.ts'], ['publish.ts', 'app.ts'], ['publish.ts', 'main.ts'],
    ['routes/events.ts', 'store/sqlite.ts'], ['routes/events.ts', 'ioredis'], ['routes/events.ts', 'app.ts'], ['app.ts', 'bus/local.ts'], ['config.ts', 'store/postgres.ts'],
    ['store/store.ts', 'drizzle-orm'], ['store/sqlite.ts', 'bus/redis.ts'], ['store/sqlite.ts', 'fastify'], ['bus/redis.ts', 'config.ts'], ['app.ts', 'main.ts'], ['serve.ts', 'migrate.ts'], ['main.ts', 'serve.ts'],
  ] as const) t.ok(wrong(file, target), `${file} must not import ${target}`);
  for (const [file, target] of [
    ['tail.ts', 'store/store.ts'], ['publish.ts', 'bus/bus.ts'], ['main.ts', 'store/sqlite.ts'], ['main.ts', 'bus/redis.ts'], ['serve.ts', 'main.ts'], ['migrate.ts', 'store/postgres.ts'],
    ['routes/events.ts', 'fastify'], ['routes/events.ts', 'tail.ts'], ['app.ts', 'routes/events.ts'], ['store/sqlite.ts', 'drizzle-orm'],
    ['store/sqlite.ts', 'store/sqlite/schema.ts'], ['bus/redis.ts', 'bus/envelope.ts'], ['bus/redis.ts', 'message.ts'], ['app.ts', 'config.ts'],
  ] as const) t.notOk(wrong(file, target), `${file} may import ${target}`);
  t.same(cycle(new Map([['a.ts', ['b.ts', 'fastify']], ['b.ts', ['c.ts']], ['c.ts', ['b.ts']]])), ['b.ts', 'c.ts', 'b.ts']);
  t.equal(cycle(new Map([['a.ts', ['b.ts', 'c.ts']], ['b.ts', ['c.ts']], ['c.ts', []]])), undefined);
});
