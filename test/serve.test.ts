import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Child } from './support/child.ts';
import { startInstance, type InstanceOptions } from './support/instance.ts';
import { copySources } from './support/program-copy.ts';
import { tempFolder } from './support/temp.ts';
import { until } from './support/until.ts';

/** The entry point of `npm start`: what Node has compiled is kept for the next start. */

const ROOT = join(import.meta.dirname, '..');
const ENV = { DRAIN_SECONDS: '0' };
/** How often it is asked what of the cache it uses. */
const STARTS = 5;
/** Root may write everything, unless it is told not to. */
const AS_OTHERS = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search,-fowner'] : [];

interface Tree {
  readonly entry: string;
  readonly packages: string;
  readonly cache: string;
}

/** The program in a folder of its own, with a node_modules into which something may be written. */
function copyOfProgram(t: Test): Tree {
  const folder = copySources(t);
  const packages = join(folder, 'node_modules');
  mkdirSync(packages);
  for (const name of readdirSync(join(ROOT, 'node_modules'))) if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(packages, name));
  return { entry: join(folder, 'src/serve.js'), packages, cache: join(packages, '.cache/tidings') };
}

/** Starts it, ends it in order, and answers with what it said. */
async function run(t: Test, env: Readonly<Record<string, string>>, options: InstanceOptions): Promise<string> {
  const instance = await startInstance(t, { ...ENV, ...env }, options);
  instance.kill('SIGTERM');
  t.strictSame(await instance.exited, { code: 0, signal: null });
  return instance.output;
}

t.test('compiled code is kept for the next start, also that of the database\'s threads, and is its user\'s alone', async (t) => {
  const { entry, cache } = copyOfProgram(t);
  await run(t, {}, { entry });
  t.equal(statSync(cache).mode & 0o077, 0);
  const accepted = (output: string, file: string): boolean => new RegExp(`V8 code cache for ESM file://.*/src/${file} was accepted`).test(output);
  const wanted = new Set(['main.ts', 'store/sqlite/worker.ts']);
  // The threads say it all at the same time, now and then within each other's lines.
  for (let start = 0; start < STARTS && wanted.size > 0; start++) {
    const output = await run(t, { NODE_DEBUG_NATIVE: 'COMPILE_CACHE' }, { entry });
    for (const file of wanted) if (accepted(output, file)) wanted.delete(file);
  }
  t.same([...wanted], []);
});

/** What instances with a setting or a request for it need, and others should not wait for. */
const NOT_AT_ONCE = ['@fastify/ajv-compiler', '@fastify/swagger', '@nats-io', 'ajv', 'drizzle-orm/sqlite-core', 'ioredis', 'jose', 'pg', 'yaml'];

t.test('an instance on SQLite alone starts without what checks queries, describes the API, or talks to other servers', async (t) => {
  const instance = await startInstance(t, { ...ENV, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' });
  const loadedIn = (output: string): Set<string> => new Set([...output.matchAll(/\/node_modules\/((?:@[^/]+\/)?[^/]+(?:\/[^/]+)?)\//g)].map(([, name]) => name!));
  const loaded = (): Set<string> => loadedIn(instance.output);
  // Both are written to standard error, so what stands before it was loaded before it.
  await until('the greeting is read', () => instance.output.includes('Tidings listens on'));
  const atOnce = loadedIn(instance.output.split('Tidings listens on')[0]!);
  t.ok(atOnce.has('fastify/lib'), 'what is loaded is told');
  t.same([...atOnce].filter((name) => NOT_AT_ONCE.some((one) => name === one || name.startsWith(`${one}/`))), []);
  t.equal((await fetch(`${instance.url}/openapi.json`)).status, 200);
  t.equal((await fetch(`${instance.url}/messages?topic=a&limit=1`)).status, 200);
  for (const name of ['@fastify/swagger/lib', 'ajv/dist']) await until(`${name} is loaded when it is needed`, () => loaded().has(name));
});

t.test('some seconds after its start it has loaded them all, and needs its packages no more', async (t) => {
  const { entry, packages } = copyOfProgram(t);
  const instance = await startInstance(t, { ...ENV, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' }, { entry });
  // The last module of the last load.
  await until('what describes the API is loaded', () => instance.output.includes('/@fastify/swagger/lib/spec/openapi/utils.js'));
  for (const name of readdirSync(packages)) if (!name.startsWith('.')) unlinkSync(join(packages, name));
  t.equal((await fetch(`${instance.url}/messages?topic=a&limit=1`)).status, 200);
  t.equal((await fetch(`${instance.url}/openapi.json`)).status, 200);
});

t.test('a request that needs a missing package fails, the process lives on, and the next one finds the package', async (t) => {
  const { entry, packages } = copyOfProgram(t);
  const parts = ['json-schema-traverse', 'rfdc'];
  for (const user of ['@fastify', 'ajv']) {
    // As a copy it looks for its own packages beside it.
    unlinkSync(join(packages, user));
    cpSync(join(ROOT, 'node_modules', user), join(packages, user), { recursive: true });
  }
  for (const name of parts) unlinkSync(join(packages, name));
  const instance = await startInstance(t, ENV, { entry });
  const statuses = (): Promise<number[]> => Promise.all(['/openapi.json', '/messages?topic=a&limit=1'].map(async (path) => (await fetch(`${instance.url}${path}`)).status));
  t.same(await statuses(), [500, 500]);
  for (const name of parts) symlinkSync(join(ROOT, 'node_modules', name), join(packages, name));
  t.same(await statuses(), [200, 200]);
});

t.test('where nothing may be written it still starts', async (t) => {
  const { entry, packages, cache } = copyOfProgram(t);
  chmodSync(packages, 0o555);
  t.teardown(() => chmodSync(packages, 0o755));
  await run(t, {}, { entry, by: AS_OTHERS });
  t.notOk(existsSync(cache));
});

t.test('a folder into which others may write is not used: what lies in it would be run', async (t) => {
  const { entry, cache } = copyOfProgram(t);
  mkdirSync(cache, { recursive: true });
  chmodSync(cache, 0o777);
  await run(t, {}, { entry });
  t.same(readdirSync(cache), []);
});

t.test('a folder that the environment names is used instead', async (t) => {
  const { entry, cache } = copyOfProgram(t);
  const own = join(tempFolder(t), 'own');
  await run(t, { NODE_COMPILE_CACHE: own }, { entry });
  t.ok(readdirSync(own).length > 0);
  t.notOk(existsSync(cache));
});

t.test('SIGUSR1 does not open Node\'s inspector', async (t) => {
  const instance = await startInstance(t, ENV, { entry: join(ROOT, 'src/serve.js') });
  instance.kill('SIGUSR1');
  // By its answer the signal was seen.
  t.equal((await fetch(`${instance.url}/healthz`)).status, 200);
  instance.kill('SIGTERM');
  t.same(await instance.exited, { code: 0, signal: null });
  t.notMatch(instance.output, /debugger/i);
});

t.test('without the packages, or with an older Node, the one line says what to do', async (t) => {
  const older = 'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.20.2"}})';
  const bare = copySources(t);
  const forgotten = 'The package @fastify/sse is not installed: run "npm ci" first';
  const needs = 'Tidings needs Node.js 24 or newer; this is 20.20.2';
  // As the scripts of package.json start them.
  const commands = [['src/serve.js'], ...['migrate', 'clock'].map((name) => ['--import', './src/requirements.js', `src/cli/${name}.ts`])];
  for (const command of commands) {
    for (const [folder, options, line] of [[ROOT, ['--import', older], needs], [bare, ['--import', older], `${forgotten}. ${needs}. "npm ci" brings it along`], [bare, [], forgotten]] as const) {
      const child = new Child(t, process.execPath, [...options, ...command], { cwd: folder, env: {} });
      t.strictSame(await child.exited, { code: 1, signal: null });
      t.equal(child.output, `${line}\n`);
    }
  }
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  // Others would say that tsc was not found, or that .ts is an unknown extension.
  for (const [name, script] of Object.entries(scripts)) t.match(script, /^(exec )?node (--watch )?(src\/serve\.js|(--import \.\/)?src\/requirements\.js)|npm (run check|test)\b/, name);
  t.same([scripts['start'], scripts['migrate'], scripts['clock']], [`exec node ${commands[0]!.join(' ')}`, `node ${commands[1]!.join(' ')}`, `node ${commands[2]!.join(' ')}`]);
});
