import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { readAccess } from '../../src/access/access-settings.ts';
import { readConfig } from '../../src/config/config.ts';
import { Child } from '../support/child.ts';
import { Http } from '../support/http.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { environment, instructions, last, one } from './dockerfile.ts';

/**
 * No image is built here: that needs Docker, and a registry. What the Dockerfile does is done by hand: the files that it copies, the packages that
 * `npm ci --omit=dev --ignore-scripts` leaves, its environment, its command and its health check. That shows that nothing is missing.
 */

const ROOT = join(import.meta.dirname, '../..');

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
  t.same(instructions.filter(({ name }) => name === 'FROM').map(({ rest }) => rest.split(' ')[0]!.replace(/\d+\.\d+\.\d+/, '…')), ['node:…-bookworm-slim', 'node:…-bookworm-slim'], 'packages are installed in a stage of their own');
  t.equal(instructions.find(({ name, rest }) => name === 'RUN' && rest.startsWith('npm'))!.rest, 'npm ci --omit=dev --ignore-scripts');
  t.ok(last.some(({ name, rest }) => name === 'COPY' && rest === '--from=dependencies /app/node_modules node_modules'), 'and are here');
  t.equal(one('USER'), 'node');
  t.match(one('RUN'), /mkdir \/data .*chown node:node \/data .*ln -s \/data data$/, 'who may write to the volume');
  t.equal(one('VOLUME'), '/data');
  t.equal(readConfig({ ...environment(), AUTH: 'off' }, { dotenv: false }).PORT, Number(one('EXPOSE')));
  t.match(readConfig({ ...environment(), AUTH: 'off' }, { dotenv: false }).DATABASE_URL, { file: 'data/tidings.db' }, 'the log is on the volume, unless another place is named, by either variable');
  t.equal(readAccess(readConfig(environment(), { dotenv: false })).settings.needsKeys, true, 'it is not open to everybody unless somebody says so');
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  t.equal(`exec ${(JSON.parse(one('CMD')) as string[]).join(' ')}`, scripts['start'], 'started as npm start does, without a shell');
  t.end();
});

t.test('the copied files are enough to run: it starts, is healthy, takes a message, drains on SIGTERM', async (t) => {
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
  symlinkSync(data, join(app, 'data'));
  const port = await freePort();
  const env = { ...environment(), PATH: process.env['PATH'], HOST: '127.0.0.1', PORT: String(port), AUTH: 'off', DRAIN_SECONDS: '0' };
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
