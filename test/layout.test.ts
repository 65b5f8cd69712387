import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { importsOf } from './support/imports.ts';

/**
 * The plan of the house. Imports go down the list of rooms, never up: a file may import its own room and the rooms below it. Only the roots name
 * an implementation of a store or a bus. Each technology stays in its room.
 */

const ROOT = join(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

interface Room {
  /** A folder of src, with a slash at its end, or one file. The longest one that a path begins with is its room. */
  readonly place: string;
  /** The file that opens with the room's paragraph. */
  readonly opening?: string;
}

/** From the top to the bottom. */
const ROOMS: readonly Room[] = [
  { place: 'tidings.js' },
  { place: 'serve.js' },
  { place: 'typescript.js' },
  { place: 'requirements.js' },
  { place: 'main.ts' },
  { place: 'implementations.ts' },
  { place: 'supervise.ts' },
  { place: 'cli/', opening: 'migrate.ts' },
  { place: 'page/', opening: 'main.tsx' },
  { place: 'client/', opening: 'client.ts' },
  { place: 'health.ts' },
  { place: 'lifecycle.ts' },
  { place: 'listeners.ts' },
  { place: 'workers/', opening: 'supervisor.ts' },
  { place: 'http/app.ts' },
  { place: 'http/routes/', opening: 'routes.ts' },
  { place: 'http/fast-path/', opening: 'fast-path.ts' },
  { place: 'http/websocket/', opening: 'websocket.ts' },
  { place: 'http/', opening: 'app.ts' },
  { place: 'http/sockets/', opening: 'takeover.ts' },
  { place: 'http/admission/', opening: 'admission.ts' },
  { place: 'http/input/', opening: 'validation.ts' },
  { place: 'http/output/', opening: 'problem-response.ts' },
  { place: 'webhooks/', opening: 'webhooks.ts' },
  { place: 'connectors/nats/', opening: 'nats.ts' },
  { place: 'connectors/kafka/', opening: 'kafka.ts' },
  { place: 'connectors/', opening: 'connectors.ts' },
  { place: 'ownership/', opening: 'ownership.ts' },
  { place: 'fleet/', opening: 'fleet.ts' },
  { place: 'hooks/', opening: 'hooks.ts' },
  { place: 'access/', opening: 'access.ts' },
  { place: 'access/tickets/', opening: 'tickets.ts' },
  { place: 'access/leases/', opening: 'leases.ts' },
  { place: 'access/credentials/', opening: 'identity.ts' },
  { place: 'access/records/', opening: 'known-records.ts' },
  { place: 'access/tokens/', opening: 'jwt.ts' },
  { place: 'delivery/', opening: 'delivery.ts' },
  { place: 'delivery/catchup/', opening: 'catchup.ts' },
  { place: 'delivery/reader/', opening: 'reader.ts' },
  { place: 'delivery/frames/', opening: 'sse.ts' },
  { place: 'log/', opening: 'log.ts' },
  { place: 'log/publisher/', opening: 'publisher.ts' },
  { place: 'log/history/', opening: 'history-pages.ts' },
  { place: 'log/tail/', opening: 'tail.ts' },
  { place: 'log/retention/', opening: 'retention.ts' },
  { place: 'bus/redis/', opening: 'redis.ts' },
  { place: 'bus/nats/', opening: 'nats.ts' },
  { place: 'bus/kafka/', opening: 'kafka.ts' },
  { place: 'bus/hub/', opening: 'hub.ts' },
  { place: 'bus/', opening: 'bus.ts' },
  { place: 'limits/', opening: 'limits.ts' },
  { place: 'presence/sqlite/', opening: 'sqlite.ts' },
  { place: 'presence/', opening: 'presence.ts' },
  { place: 'store/sqlite/', opening: 'sqlite.ts' },
  { place: 'store/sqlite/records/', opening: 'key-store.ts' },
  { place: 'store/sqlite/messages/', opening: 'append.ts' },
  { place: 'store/sqlite/files/', opening: 'connection.ts' },
  { place: 'store/postgres/', opening: 'postgres.ts' },
  { place: 'store/postgres/records/', opening: 'key-store.ts' },
  { place: 'store/postgres/messages/', opening: 'append.ts' },
  { place: 'store/postgres/connection/', opening: 'connection-pool.ts' },
  { place: 'store/rows/', opening: 'key-rows.ts' },
  { place: 'store/', opening: 'store.ts' },
  { place: 'store/contracts/', opening: 'key-store.ts' },
  { place: 'nats/', opening: 'connection-options.ts' },
  { place: 'kafka/', opening: 'broker-connection.ts' },
  { place: 'model/', opening: 'message.ts' },
  { place: 'config/', opening: 'config.ts' },
  { place: 'runtime/sharing/', opening: 'fair-shares.ts' },
  { place: 'runtime/', opening: 'clock.ts' },
  { place: 'runtime/sockets/', opening: 'guarded-socket.ts' },
  { place: 'runtime/logging/', opening: 'logger.ts' },
];

/** Only these may name an implementation of a store, a bus or a place. The supervisor of the workers starts their hub. */
const ROOTS: readonly string[] = ['implementations.ts', 'main.ts', 'supervise.ts', 'cli/'];
const IMPLEMENTATIONS: readonly string[] = ['bus/local.ts', 'bus/redis/', 'bus/nats/', 'bus/kafka/', 'bus/hub/', 'connectors/nats/', 'connectors/kafka/', 'presence/sqlite/', 'store/sqlite/', 'store/postgres/'];

/** Where a package may be imported; other packages may be imported anywhere. */
const TECHNOLOGIES: readonly { readonly packages: RegExp; readonly places: readonly string[] }[] = [
  { packages: /^@?fastify(\/|$)/, places: ['http/'] },
  { packages: /^drizzle-orm(\/|$)/, places: ['store/sqlite/', 'store/postgres/', 'store/migrations.ts'] },
  { packages: /^better-sqlite3$/, places: ['store/sqlite/', 'presence/sqlite/'] },
  { packages: /^pg(\/|$)/, places: ['store/postgres/'] },
  { packages: /^ioredis$/, places: ['bus/redis/'] },
  { packages: /^@nats-io\//, places: ['bus/nats/', 'connectors/nats/', 'nats/'] },
  { packages: /^@platformatic\/kafka$/, places: ['bus/kafka/', 'connectors/kafka/', 'kafka/'] },
  { packages: /^jose(\/|$)/, places: ['access/'] },
  { packages: /^ws$/, places: ['http/websocket/', 'delivery/frames/text-frame.ts', 'cli/doctor/'] },
  { packages: /^prom-client$/, places: ['runtime/metrics.ts', 'runtime/supervisor-metrics.ts'] },
  { packages: /^react(\/|$)/, places: ['client/react.ts'] },
  { packages: /^(preact|uplot)(\/|$)/, places: ['page/'] },
];

/** Pairs of files whose types know each other. */
const MUTUAL: readonly (readonly [string, string, why: string])[] = [
  ['delivery/reader/reader-group.ts', 'delivery/reader/reader.ts', 'a group has readers, and a reader knows its group'],
];

/** From a file's path below src, with `/`, to what it imports: paths below src, or the names of packages. */
type Imports = ReadonlyMap<string, readonly string[]>;

const FILES = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/')).filter((name) => /\.[tj]sx?$/.test(name) && !/^(client|page)\/built\//.test(name));

function readImports(): Imports {
  return new Map(FILES.map((path) => [path, importsOf(readFileSync(join(SRC, path), 'utf8'))
    .map(({ target }) => (target.startsWith('.') ? relative(SRC, join(SRC, dirname(path), target)).replaceAll('\\', '/') : target))]));
}

function isIn(path: string, place: string): boolean {
  return place.endsWith('/') ? path.startsWith(place) : path === place;
}

/** How far down the list the room of a file is; -1 where it has none. */
function floorOf(path: string): number {
  let floor = -1;
  ROOMS.forEach(({ place }, index) => {
    if (isIn(path, place) && (floor === -1 || place.length > ROOMS[floor]!.place.length)) floor = index;
  });
  return floor;
}

/** Why a file of src may not import this; undefined if it may. */
function wrong(file: string, target: string): string | undefined {
  const places = TECHNOLOGIES.find(({ packages }) => packages.test(target))?.places;
  if (places?.every((place) => !isIn(file, place)) === true) return 'this package belongs to another room';
  if (!/\.[tj]sx?$/.test(target)) return undefined;
  // The page is a client as any other, which the service only hands out.
  if (isIn(file, 'page/') && !isIn(target, 'page/') && !isIn(target, 'client/')) return 'the page knows the client library alone';
  const implementation = IMPLEMENTATIONS.find((place) => isIn(target, place));
  if (implementation !== undefined && !isIn(file, implementation) && !ROOTS.some((place) => isIn(file, place))) return 'only a root names an implementation';
  return floorOf(target) < floorOf(file) ? 'this goes up' : undefined;
}

function wrongWay(imports: Imports): string[] {
  return [...imports].flatMap(([file, targets]) => targets.filter((target) => wrong(file, target) !== undefined).map((target) => `${file} -> ${target}: ${wrong(file, target)}`));
}

/** The first chain of imports that comes back to where it began. */
function circle(imports: Imports): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    const first = path.indexOf(file);
    if (first !== -1) return [...path.slice(first), file];
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

/** The imports without one direction of each pair that may know each other. */
function withoutMutual(imports: Imports): Imports {
  return new Map([...imports].map(([file, targets]) => [file, targets.filter((target) => !MUTUAL.some(([one, other]) => one === file && other === target))]));
}

t.test('every file of src has a room, and every room has files', async (t) => {
  t.same(FILES.filter((path) => floorOf(path) === -1), [], 'add the folder of each to ROOMS');
  t.same(ROOMS.filter((_room, floor) => !FILES.some((path) => floorOf(path) === floor)), []);
});

t.test('imports in src go down the rooms, never up', async (t) => {
  t.same(wrongWay(readImports()), [], 'an import that goes up belongs the other way round: hand the file what it needs, or move the common part to a room below');
});

t.test('no file of src imports itself by a detour, not even for its types', async (t) => {
  t.equal(circle(withoutMutual(readImports()))?.join(' -> '), undefined);
  const imports = readImports();
  for (const [one, other, why] of MUTUAL) t.ok(imports.get(one)?.includes(other) === true && imports.get(other)?.includes(one) === true, `${one} and ${other}: ${why}`);
});

t.test('every import in src is a file of src, a dependency, or a part of Node; of what only developers have, types', async (t) => {
  const imports = readImports();
  const manifest: Record<'dependencies' | 'peerDependencies' | 'devDependencies', Record<string, string>> = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const isOf = (packages: Record<string, string>, target: string): boolean => Object.keys(packages).some((name) => target === name || target.startsWith(`${name}/`));
  const isKnown = (target: string): boolean => imports.has(target)
    || target === '../package.json'
    || builtinModules.includes(target.replace(/^node:/, ''))
    || isOf(manifest.dependencies, target)
    || isOf(manifest.peerDependencies, target);
  /** What is built into the page need not be there when it runs. */
  const isBuiltIn = (file: string, target: string): boolean => isIn(file, 'page/') && isOf(manifest.devDependencies, target);
  const isTypeOnly = (file: string, target: string): boolean => isOf(manifest.devDependencies, target)
    && importsOf(readFileSync(join(SRC, file), 'utf8')).every((one) => one.target !== target || one.typeOnly);
  t.same([...imports].flatMap(([file, targets]) => targets.filter((target) => !isKnown(target) && !isTypeOnly(file, target) && !isBuiltIn(file, target)).map((target) => `${file} -> ${target}`)), []);
});

t.test('every room opens with its paragraph', async (t) => {
  for (const { place, opening } of ROOMS) {
    if (opening === undefined) continue;
    const paragraph = /\/\*\*([^]*?)\*\//.exec(readFileSync(join(SRC, place, opening), 'utf8'))?.[1] ?? '';
    t.ok(paragraph.split(/[.:]\s/).length > 3, `${place}${opening} says what its room is for, what comes in, what goes out`);
  }
});

t.test("CONTRIBUTING.md's layout names every file of src, each in its folder, and no other", async (t) => {
  const layout = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8').split('<!-- layout -->')[1]!.split('<!-- /layout -->')[0]!;
  const named = [...layout.matchAll(/^\| `src\/([^`]*)` \|.*\| ([^|]*) \|$/gm)].flatMap(([, folder, files]) => [...files!.matchAll(/`([^`]+)`/g)].map(([, name]) => `${folder}${name}`));
  t.same(FILES.filter((file) => !named.includes(file)), [], 'no file is missing; add a new file to the row of its folder, in the table of CONTRIBUTING.md');
  t.same(named.filter((file) => !FILES.includes(file)), [], 'no other file is named; take it out of the row of its folder, in the table of CONTRIBUTING.md');
  t.equal(named.length, FILES.length, 'each file is named once');
});

const NUMBER = /^(?:export )?const ([A-Z][A-Z0-9_]*)(?:: number)? = ((?:[\d_.]+|[A-Z][A-Z0-9_]*)(?: [*+] (?:[\d_.]+|[A-Z][A-Z0-9_]*))*);/gm;

/** What the name of a number ends in: its unit, or a word that says why it has none. */
const UNIT = new RegExp(`_(${[
  'MS', 'SECONDS', 'BYTES', 'KIB', 'MESSAGES', 'ROWS', 'PAGES', 'ENTRIES', 'VALUES', 'LEVEL', 'LEVELS', 'NUMBERS', 'KEYS', 'EPOCHS', 'LINEAGES', 'FILTERS', 'CHARACTERS', 'SEGMENTS', 'PLACES', 'VISITS', 'READERS',
  'STREAMS', 'SESSIONS', 'TICKETS', 'REQUESTS', 'REVOCATIONS', 'READS', 'COMMITS', 'CONNECTIONS', 'FAILURES', 'WEBHOOKS', 'CONNECTORS', 'RECORDS', 'PARTS', 'ATTEMPTS', 'FILES', 'PORT', 'COLUMN', 'COLUMNS', 'PATTERNS', 'VERSIONS', 'FACTOR', 'SHARE', 'VERSION', 'CODE', 'BEATS',
].join('|')})$`);
/** Characters by their code, flags, and multiples of a byte. */
const UNITLESS = /^([KMG]IB|LF|CR|QUOTE|BACKSLASH|COMMA|(OPEN|CLOSE)_BRAC(E|KET)|FLAG_[A-Z]+)$/;

t.test('the name of a number ends in its unit', async (t) => {
  const names = FILES.flatMap((path) => [...readFileSync(join(SRC, path), 'utf8').matchAll(NUMBER)].map(([, name]) => name!));
  t.same(names.filter((name) => !UNIT.test(name) && !UNITLESS.test(name)), [], 'let the name of each end in its unit, a word of UNIT: _MS, _BYTES, _MESSAGES');
});

t.test('two constants of one name have one value', async (t) => {
  const values = new Map<string, Set<string>>();
  for (const path of FILES) {
    for (const [, name, value] of readFileSync(join(SRC, path), 'utf8').matchAll(NUMBER)) values.set(name!, (values.get(name!) ?? new Set()).add(value!));
  }
  t.ok(values.size > 50, 'they were found');
  t.same([...values].filter(([, all]) => all.size > 1).map(([name, all]) => `${name}: ${[...all].join(', ')}`), [], 'give each constant a name of its own');
});

t.test('no test counts memory that nobody holds any more', async (t) => {
  const counting = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && /memoryUsage\(\)/.test(readFileSync(join(import.meta.dirname, path), 'utf8')));
  t.same(counting.toSorted(), ['support/garbage.ts', 'support/probe.ts'], 'they ask heldBytes() of support/garbage.ts, which collects first');
});

t.test('the rules themselves find what breaks them', async (t) => {
  t.same(importsOf([
    "import { a } from './a.ts';", "import type {\n  B,\n  C,\n} from \"./b.ts\";", "import './c.ts';", "export * from './d.ts';", "export { e } from './e.ts';",
    "import f, { type G } from 'f';", "const h = await import('./h.ts');", "type I = import('./i.ts').I;", "import type * as j from './j.ts'",
    "// import './comment.ts';", "/* import k from './k.ts'; */", "const url = 'https://example.org'; import './l.ts';",
    "const text = `\nimport m from './m.ts';\n`;", 'const from = 5; call(from);', "const { n } = load('n');",
  ].join('\n')).map(({ target }) => target).sort(), ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './h.ts', './i.ts', './j.ts', './l.ts', 'f', 'n']);
  for (const [file, target] of [
    ['log/tail/tail.ts', 'fastify'], ['log/tail/tail.ts', '@fastify/sse'], ['log/tail/tail.ts', 'drizzle-orm/pg-core'], ['delivery/reader/reader.ts', 'ioredis'], ['delivery/reader/reader.ts', 'better-sqlite3'],
    ['log/publisher/publisher.ts', 'http/routes/streams.ts'], ['log/publisher/publisher.ts', 'store/sqlite/sqlite.ts'], ['log/publisher/publisher.ts', 'bus/redis/redis.ts'], ['log/publisher/publisher.ts', 'http/app.ts'], ['log/tail/tail.ts', 'delivery/frames/sse.ts'],
    ['http/routes/streams.ts', 'store/sqlite/sqlite.ts'], ['http/routes/streams.ts', 'ioredis'], ['http/routes/streams.ts', 'http/app.ts'], ['http/app.ts', 'bus/local.ts'], ['config/config.ts', 'store/postgres/postgres.ts'],
    ['http/input/body.ts', 'http/sockets/takeover.ts'], ['http/output/outgoing.ts', 'http/input/body.ts'], ['http/fast-path/request.ts', 'http/routes/streams.ts'], ['http/sockets/takeover.ts', 'http/fast-path/request.ts'],
    ['store/store.ts', 'drizzle-orm'], ['store/sqlite/sqlite.ts', 'bus/redis/redis.ts'], ['store/sqlite/sqlite.ts', 'fastify'], ['store/sqlite/messages/query.ts', 'store/postgres/messages/query.ts'], ['store/sqlite/messages/query.ts', 'pg'],
    ['store/store.ts', 'bus/redis/redis.ts'], ['http/app.ts', 'main.ts'], ['main.ts', 'serve.js'], ['runtime/metrics.ts', 'http/service.ts'], ['log/publisher/publisher.ts', 'prom-client'], ['http/admission/admission.ts', 'jose/jwt/verify'], ['access/tokens/jwt.ts', 'http/admission/admission.ts'], ['delivery/reader/reader.ts', 'access/tokens/jwt.ts'],
    ['client/client.ts', 'react'], ['client/client.ts', 'page/api.ts'], ['page/api.ts', 'model/message.ts'], ['http/routes/page.ts', 'page/main.tsx'], ['http/routes/page.ts', 'preact'],
  ] as const) t.ok(wrong(file, target), `${file} must not import ${target}`);
  for (const [file, target] of [
    ['log/tail/tail.ts', 'store/store.ts'], ['log/publisher/publisher.ts', 'bus/bus.ts'], ['main.ts', 'store/sqlite/sqlite.ts'], ['main.ts', 'bus/redis/redis.ts'], ['serve.js', 'main.ts'], ['cli/migrate.ts', 'store/postgres/postgres.ts'],
    ['http/routes/streams.ts', 'fastify'], ['http/routes/streams.ts', 'log/tail/tail.ts'], ['http/app.ts', 'http/routes/streams.ts'], ['store/sqlite/sqlite.ts', 'drizzle-orm'], ['http/routes/streams.ts', 'http/sockets/takeover.ts'],
    ['store/sqlite/sqlite.ts', 'store/sqlite/files/schema.ts'], ['bus/redis/redis.ts', 'bus/envelope.ts'], ['bus/redis/redis.ts', 'model/message.ts'], ['http/app.ts', 'config/config.ts'], ['runtime/metrics.ts', 'prom-client'],
    ['page/app.tsx', 'preact'], ['page/feed/feed.ts', 'client/client.ts'], ['access/tokens/jwt.ts', 'jose'], ['http/admission/admission.ts', 'access/tokens/jwt.ts'],
  ] as const) t.notOk(wrong(file, target), `${file} may import ${target}`);
  t.same(circle(new Map([['a.ts', ['b.ts', 'fastify']], ['b.ts', ['c.ts']], ['c.ts', ['b.ts']]])), ['b.ts', 'c.ts', 'b.ts']);
  t.equal(circle(new Map([['a.ts', ['b.ts', 'c.ts']], ['b.ts', ['c.ts']], ['c.ts', []]])), undefined);
  t.same([...'const A_MS = 5;\nexport const B_BYTES = 64 * KIB;\nconst C = f();\n'.matchAll(NUMBER)].map(([, name, value]) => [name, value]), [['A_MS', '5'], ['B_BYTES', '64 * KIB']]);
});
