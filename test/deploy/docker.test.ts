import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { readAccess } from '../../src/access/access-settings.ts';
import { readConfig } from '../../src/config/config.ts';
import { Child } from '../support/child.ts';
import { Http } from '../support/http.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/**
 * No image is built here: that needs Docker, and a registry. What the Dockerfile does is done by hand: the files that it copies, the packages that
 * `npm ci --omit=dev --ignore-scripts` leaves, its environment, its command and its health check. That shows that nothing is missing.
 */

const ROOT = join(import.meta.dirname, '../..');

/** Longer than DRAIN_SECONDS by so much: for what comes after the window. Seconds. */
const SLACK = 10;

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

const instructions: readonly Instruction[] = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => ({ name: line.slice(0, line.indexOf(' ')), rest: line.slice(line.indexOf(' ') + 1) }));
const last = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'));

function one(name: string): string {
  const found = last.filter((instruction) => instruction.name === name);
  if (found.length !== 1) throw new Error(`The last stage has ${found.length} times ${name}`);
  return found[0]!.rest;
}

function environment(): Record<string, string> {
  return Object.fromEntries(one('ENV').split(' ').map((pair) => pair.split('=') as [string, string]));
}

/** The packages that are not only for development, as the lockfile has it. */
function productionPackages(): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: true; devOptional?: true }> };
  return Object.entries(packages).filter(([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true).map(([path]) => path);
}

/** The same files under another path: nothing writes to them, and to copy thousands of them takes seconds. */
function linkTree(from: string, to: string): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const link = join(to, relative(from, file));
    mkdirSync(dirname(link), { recursive: true });
    try {
      linkSync(file, link);
    } catch {
      // The temporary folder may be on another disk.
      copyFileSync(file, link);
    }
  }
}

t.test('the image: small, nobody\'s root, signals arrive', (t) => {
  t.same(instructions.filter(({ name }) => name === 'FROM').map(({ rest }) => rest.split(' ')[0]), ['node:24-slim', 'node:24-slim'], 'packages are installed in a stage of their own');
  t.equal(instructions.find(({ name, rest }) => name === 'RUN' && rest.startsWith('npm'))!.rest, 'npm ci --omit=dev --ignore-scripts');
  t.ok(last.some(({ name, rest }) => name === 'COPY' && rest === '--from=dependencies /app/node_modules node_modules'), 'and are here');
  t.equal(one('USER'), 'node');
  t.match(one('RUN'), /mkdir \/data .*chown node:node \/data/, 'who may write to the volume');
  t.equal(one('VOLUME'), '/data');
  t.equal(readConfig({ ...environment(), AUTH: 'off' }, { dotenv: false }).PORT, Number(one('EXPOSE')));
  t.match(environment()['DATABASE_URL'], /^file:\/data\//, 'the log is on the volume');
  t.equal(readAccess(readConfig(environment(), { dotenv: false })).settings.needsKeys, true, 'it is not open to everybody unless somebody says so');
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  t.equal(`exec ${(JSON.parse(one('CMD')) as string[]).join(' ')}`, scripts['start'], 'started as npm start does, without a shell');
  t.end();
});

t.test('what it copies is enough to run: it starts, is healthy, takes a message, drains on SIGTERM', async (t) => {
  const app = tempFolder(t);
  const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
  t.equal(ignored.find((line) => !line.startsWith('#')), '*');
  for (const { name, rest } of instructions) {
    if (name !== 'COPY' || rest.startsWith('--from=')) continue;
    const sources = rest.split(' ').slice(0, -1);
    for (const source of sources) {
      t.ok(ignored.includes(`!${source}`), `${source} is sent to Docker`);
      cpSync(join(ROOT, source), join(app, source), { recursive: true });
    }
  }
  for (const path of productionPackages()) {
    // Parts for other systems are not installed.
    if (!existsSync(join(ROOT, path)) || existsSync(join(app, path))) continue;
    linkTree(join(ROOT, path), join(app, path));
  }
  const data = tempFolder(t);
  const port = await freePort();
  const env = { ...environment(), PATH: process.env['PATH'], HOST: '127.0.0.1', PORT: String(port), DATABASE_URL: `file:${join(data, 'tidings.db')}`, AUTH: 'off', DRAIN_SECONDS: '0' };
  // As for the image's user, nothing of the application may be written to.
  chmodSync(join(app, 'node_modules'), 0o555);
  t.teardown(() => chmodSync(join(app, 'node_modules'), 0o755));
  const [, ...args] = JSON.parse(one('CMD')) as string[];
  const service = new Child(t, process.execPath, args, { cwd: app, env });
  const http = new Http(t, `http://127.0.0.1:${port}`);
  await until('it is ready', async () => {
    if (!service.running) throw new Error(`It ended:\n${service.output}`);
    return (await http.get('/readyz').catch(() => undefined))?.status === 200;
  });
  await http.publish('news', 'from the image');
  const check = one('HEALTHCHECK');
  t.match(check, '/healthz', 'whether it lives, not whether it can take work');
  const [, ...asked] = JSON.parse(check.slice(check.indexOf('['))) as string[];
  const healthy = (): number | null => spawnSync(process.execPath, asked, { env }).status;
  t.equal(healthy(), 0);
  service.kill('SIGTERM');
  t.same(await service.exited, { code: 0, signal: null });
  t.equal(healthy(), 1, 'the health check notices');
  t.ok(existsSync(join(data, 'tidings.db')));
});

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly networks?: { readonly default: { readonly ipv4_address: string } };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ulimits?: { readonly nofile: number };
  readonly healthcheck?: object;
}

t.test('compose.yaml: three instances on one log, behind the shipped configuration', (t) => {
  const { services, volumes } = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'), { merge: true }) as { services: Record<string, Service>; volumes: object };
  const names = Object.keys(services).filter((name) => name.startsWith('tidings-'));
  const { haproxy } = services;
  t.equal(names.length, 3);
  t.same(Object.keys(services).filter((name) => !names.includes(name)).toSorted(), ['haproxy', 'postgres', 'redis']);
  for (const name of names) {
    const { environment: set, stop_grace_period: grace, depends_on: needs, networks, build } = services[name]!;
    const config = readConfig({ ...environment(), ...set }, { dotenv: false });
    t.equal(build, '.');
    t.ok(parseInt(grace!, 10) >= config.DRAIN_SECONDS + SLACK, 'a drain is over before it is killed');
    t.ok(Object.entries(needs!).every(([other, { condition }]) => condition === 'service_healthy' && services[other]?.healthcheck !== undefined));
    t.same([new URL(set!['DATABASE_URL']!).hostname, new URL(set!['REDIS_URL']!).hostname].map((host) => host in services), [true, true]);
    t.ok(services[name]!.ulimits!.nofile > 2 * config.MAX_STREAMS);
    const { username, password, pathname } = new URL(set!['DATABASE_URL']!);
    t.match(services['postgres']!.environment, { POSTGRES_USER: username, POSTGRES_PASSWORD: password, POSTGRES_DB: pathname.slice(1) });
    t.equal(haproxy!.environment![name.toUpperCase().replace('-', '_')], `${networks!.default.ipv4_address}:${config.PORT}`, `HAProxy knows ${name}`);
  }
  t.same(haproxy!.volumes, ['./deploy/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro'], 'where its image looks');
  t.ok(existsSync(join(ROOT, 'deploy/haproxy.cfg')));
  t.equal(haproxy!.environment!['TIDINGS_BIND'], `:${haproxy!.ports![0]!.split(':').at(-1)}`);
  t.ok(Object.values(services).flatMap(({ ports = [] }) => ports).every((port) => port.startsWith('127.0.0.1:')), 'nothing is open to the network');
  t.ok(services['postgres']!.volumes!.every((mount) => mount.split(':')[0]! in volumes));
  t.end();
});
