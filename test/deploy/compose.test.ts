import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { readConfig } from '../../src/config/config.ts';
import { Child } from '../support/child.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { freePort } from '../support/ports.ts';
import { need } from '../support/programs.ts';
import { redisClient } from '../support/redis-client.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { environment } from './dockerfile.ts';

/** No container is started here: compose.yaml is read, and what it runs is run by hand. */

const ROOT = join(import.meta.dirname, '../..');

/** Longer than DRAIN_SECONDS by so much: for what comes after the window. Seconds. */
const SLACK = 10;

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly user?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly restart?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly privileged?: boolean;
  readonly security_opt?: readonly string[];
  readonly secrets?: readonly string[];
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly networks?: { readonly default: { readonly ipv4_address: string } };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ulimits?: { readonly nofile: number };
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: object;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const { services, volumes, secrets } = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;

/** The folder in which deploy/make-secrets.sh has made its files. */
function makeSecrets(t: Scope): string {
  const project = tempFolder(t);
  mkdirSync(join(project, 'deploy'));
  copyFileSync(join(ROOT, 'deploy/make-secrets.sh'), join(project, 'deploy/make-secrets.sh'));
  const { status, stderr } = spawnSync('sh', [join(project, 'deploy/make-secrets.sh')], { encoding: 'utf8', cwd: '/' });
  if (status !== 0) throw new Error(stderr);
  return join(project, 'secrets');
}

/** A command of compose.yaml, as it is run inside of the container: `$$` is one `$` there. Paths and ports are this machine's. */
function inContainer(command: readonly string[], replaced: Readonly<Record<string, string>>): string[] {
  return command.map((word) => Object.entries({ $$: '$', ...replaced }).reduce((text, [from, to]) => text.replaceAll(from, () => to), word));
}

t.test('compose.yaml: three instances on one log serve through the shipped configuration', (t) => {
  const folder = makeSecrets(t);
  const names = Object.keys(services).filter((name) => name.startsWith('tidings-'));
  const { haproxy } = services;
  t.equal(names.length, 3);
  t.same(Object.keys(services).filter((name) => !names.includes(name)).toSorted(), ['haproxy', 'postgres', 'redis']);
  for (const name of names) {
    const { environment: set, stop_grace_period: grace, depends_on: needs, networks, build } = services[name]!;
    const inside = Object.fromEntries(Object.entries(set!).map(([key, value]) => [key, value.replace('/run/secrets', folder)]));
    const config = readConfig({ ...environment(), ...inside }, { dotenv: false });
    t.equal(build, '.');
    t.ok(parseInt(grace!, 10) >= config.DRAIN_SECONDS + SLACK, 'a drain is over before it is killed');
    t.ok(Object.entries(needs!).every(([other, { condition }]) => condition === 'service_healthy' && services[other]?.healthcheck !== undefined));
    if (config.DATABASE_URL.kind !== 'postgres') throw new Error('PostgreSQL is not used');
    const { username, password, pathname, hostname } = new URL(config.DATABASE_URL.url);
    t.same([hostname, new URL(config.REDIS_URL!).hostname].map((host) => host in services), [true, true]);
    t.ok(services[name]!.ulimits!.nofile > 2 * config.MAX_STREAMS);
    t.match(services['postgres']!.environment, { POSTGRES_USER: username, POSTGRES_DB: pathname.slice(1), POSTGRES_PASSWORD_FILE: '/run/secrets/postgres-password' });
    t.equal(readFileSync(join(folder, 'postgres-password'), 'utf8'), password);
    t.equal(haproxy!.environment![name.toUpperCase().replace('-', '_')], `${networks!.default.ipv4_address}:${config.PORT}`, `HAProxy knows ${name}`);
  }
  t.same(haproxy!.volumes, ['./deploy/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro'], 'where its image looks');
  t.ok(existsSync(join(ROOT, 'deploy/haproxy.cfg')));
  t.equal(haproxy!.environment!['TIDINGS_BIND'], `:${haproxy!.ports![0]!.split(':').at(-1)}`);
  t.ok(Object.values(services).flatMap(({ ports = [] }) => ports).every((port) => port.startsWith('127.0.0.1:')), 'nothing is open to the network');
  t.ok(services['postgres']!.volumes!.every((mount) => mount.split(':')[0]! in volumes));
  t.end();
});

t.test('compose.yaml: every container is confined, starts again, has a health check, and is of a fixed version', (t) => {
  for (const [name, service] of Object.entries(services)) {
    t.match(service, { restart: 'unless-stopped', read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }, name);
    t.same([service.cap_add, service.privileged], [undefined, undefined], name);
    t.ok(service.healthcheck !== undefined || service.build !== undefined, `${name} has a health check of its own, or that of the Dockerfile`);
    if (service.build === undefined) t.match(service.image, /:\d+\.\d+/, name);
  }
  // These images start as root, which without its rights could not become another user.
  t.same(['postgres', 'redis'].map((name) => services[name]!.user), ['postgres', 'redis']);
  t.end();
});

t.test('compose.yaml: passwords come in files, which nobody else on the host can reach, and which stay', (t) => {
  const folder = makeSecrets(t);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.same(readdirSync(folder).toSorted(), Object.keys(secrets).toSorted());
  const values = Object.keys(secrets).map((name) => readFileSync(join(folder, name), 'utf8'));
  for (const [name, { file }] of Object.entries(secrets)) {
    t.equal(file, `./secrets/${name}`);
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o444, 'a container has a user of its own');
  }
  for (const [name, service] of Object.entries(services)) for (const secret of service.secrets ?? []) t.ok(secret in secrets, `${name}: ${secret}`);
  t.match(readFileSync(join(folder, 'redis-password'), 'utf8'), /^[0-9a-f]{48}$/);
  t.equal(new Set(values).size, values.length);
  const again = spawnSync('sh', [join(folder, '../deploy/make-secrets.sh')]);
  t.equal(again.status, 0);
  t.same(Object.keys(secrets).map((name) => readFileSync(join(folder, name), 'utf8')), values);
  t.notMatch(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'), /\b(postgres|redis):\/\/|PASSWORD: /);
  t.match(readFileSync(join(ROOT, '.gitignore'), 'utf8'), /^secrets\/$/m);
  t.end();
});

t.test('compose.yaml: nobody without the password publishes on Redis; its health check and that of HAProxy tell', async (t) => {
  const folder = makeSecrets(t);
  const [port, edge] = [await freePort(), await freePort()];
  const { redis, haproxy } = services;
  const here = { '/run/secrets': folder, 'redis-server -': `${need('redis-server')} - --bind 127.0.0.1 --port ${port}`, 'redis-cli': `redis-cli -p ${port}` };
  const [command, ...args] = inContainer(redis!.command!, here) as [string, ...string[]];
  const server = new Child(t, command, args, { cwd: tempFolder(t) });
  await server.says('Ready to accept connections');
  const url = readFileSync(join(folder, 'redis-url'), 'utf8').replace('@redis:6379', `@127.0.0.1:${port}`);
  const instance = redisClient(t, { url });
  const stranger = redisClient(t, { url: `redis://127.0.0.1:${port}` });
  t.equal(await instance.publish('tidings', 'x'), 0);
  await t.rejects(stranger.publish('tidings', 'x'), /NOAUTH/);
  t.notMatch(spawnSync('ps', ['-o', 'args=', '-p', String(server.pid)], { encoding: 'utf8' }).stdout, readFileSync(join(folder, 'redis-password'), 'utf8'), 'the password is not on the command line');
  const healthy = ({ healthcheck }: Service, replaced: Readonly<Record<string, string>>): boolean => {
    const [file, ...words] = inContainer(healthcheck!.test.slice(1), replaced) as [string, ...string[]];
    return spawnSync(file, words, { stdio: 'ignore' }).status === 0;
  };
  t.ok(healthy(redis!, here));
  server.kill('SIGTERM');
  t.same(await server.exited, { code: 0, signal: null }, 'the signal comes through');
  t.notOk(healthy(redis!, here));

  const balancer = await startHaproxy(t, [edge, edge, edge]);
  t.ok(healthy(haproxy!, { '/8080': `/${balancer.port}` }), 'without an instance, too');
  t.notOk(healthy(haproxy!, { '/8080': `/${edge}` }));
});
