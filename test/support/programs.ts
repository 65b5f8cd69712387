import { execFileSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program that tests start. To need another one, add it to `PROGRAMS`. */
export interface Program {
  /** The environment variable that names the executable, before any other place. */
  readonly variable: string;
  /** What it may be called on the path. */
  readonly names: readonly string[];
  /** Where it may be besides the path. */
  readonly places: readonly string[];
  /** The argument that it answers by printing its version, where that is not `--version`. */
  readonly version?: string;
  /** The Debian packages that have it, with spaces between. */
  readonly debian: string;
  /** A Debian package whose program, of the same name, does most of the same for less CPU time. It is installed beside a missing program; the tests also run without it. */
  readonly lighter?: string;
  /** How to get it where apt-get does not have it. */
  readonly otherwise: string;
}

/** Where Debian keeps the programs of each of its PostgreSQL versions, the newest first; what stands on the path is a part of them. */
const POSTGRES = '/usr/lib/postgresql';

function postgresPlaces(): string[] {
  try {
    return readdirSync(POSTGRES).sort((one, other) => Number(other) - Number(one)).map((version) => join(POSTGRES, version, 'bin/postgres'));
  } catch {
    return [];
  }
}

export const PROGRAMS = {
  'redis-server': {
    variable: 'REDIS_SERVER_PATH',
    names: ['redis-server'],
    places: ['/usr/local/bin/redis-server', '/opt/homebrew/bin/redis-server', '/usr/local/opt/redis/bin/redis-server'],
    debian: 'redis-server',
    otherwise: 'brew install redis',
  },
  'nats-server': {
    variable: 'NATS_SERVER_PATH',
    names: ['nats-server'],
    places: ['/usr/sbin/nats-server', '/usr/local/bin/nats-server', '/opt/homebrew/bin/nats-server'],
    debian: 'nats-server',
    otherwise: 'brew install nats-server',
  },
  postgres: {
    variable: 'POSTGRES_PATH',
    names: ['postgres'],
    places: [...postgresPlaces(), '/opt/homebrew/bin/postgres', '/usr/local/opt/postgresql/bin/postgres'],
    debian: 'postgresql',
    otherwise: 'brew install postgresql',
  },
  chromium: {
    variable: 'CHROMIUM_PATH',
    names: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
    places: ['/Applications/Chromium.app/Contents/MacOS/Chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'],
    debian: 'chromium',
    // Without the windows that nobody sees, a page costs a fifth of the CPU time.
    lighter: 'chromium-headless-shell',
    otherwise: 'brew install --cask chromium',
  },
  sqlite3: {
    variable: 'SQLITE3_PATH',
    names: ['sqlite3'],
    places: ['/opt/homebrew/opt/sqlite/bin/sqlite3'],
    debian: 'sqlite3',
    otherwise: 'brew install sqlite',
  },
  strace: {
    variable: 'STRACE_PATH',
    names: ['strace'],
    places: [],
    debian: 'strace',
    otherwise: 'run the tests on Linux, with strace',
  },
  haproxy: {
    variable: 'HAPROXY_PATH',
    names: ['haproxy'],
    places: ['/usr/local/sbin/haproxy', '/opt/homebrew/bin/haproxy'],
    version: '-v',
    debian: 'haproxy',
    otherwise: 'brew install haproxy',
  },
  nginx: {
    variable: 'NGINX_PATH',
    names: ['nginx'],
    places: ['/usr/local/sbin/nginx', '/opt/homebrew/bin/nginx'],
    version: '-v',
    debian: 'nginx',
    otherwise: 'brew install nginx',
  },
  caddy: {
    variable: 'CADDY_PATH',
    names: ['caddy'],
    places: ['/opt/homebrew/bin/caddy', '/usr/local/opt/caddy/bin/caddy'],
    version: 'version',
    debian: 'caddy',
    otherwise: 'brew install caddy',
  },
  // One that has the packages for HTTP that most programs use: of several on the path only one may.
  python3: {
    variable: 'PYTHON3_PATH',
    names: ['python3'],
    places: ['/opt/homebrew/bin/python3'],
    version: '-cimport requests, httpx, websockets',
    debian: 'python3-requests python3-httpx python3-websockets',
    otherwise: 'brew install python && pip3 install requests httpx websockets',
  },
} as const satisfies Record<string, Program>;

export type ProgramName = keyof typeof PROGRAMS;

/** The path of a program's executable, or undefined where there is none that starts. */
export function find(name: ProgramName): string | undefined {
  const { variable, names, places, version = '--version' }: Program = PROGRAMS[name];
  const starts = (path: string): boolean => answers(path, version);
  const named = process.env[variable];
  // A variable that names something that does not work is a mistake to report, not one to work around.
  if (named !== undefined && named !== '') return starts(named) ? named : undefined;
  return [...candidates(names), ...places].find(starts);
}

/** The path of the lighter program, unless a variable names the one to take; undefined where there is none. */
export function findLighter(name: ProgramName): string | undefined {
  const { variable, lighter, version = '--version' }: Program = PROGRAMS[name];
  if (lighter === undefined || (process.env[variable] ?? '') !== '') return undefined;
  return candidates([lighter]).find((path) => answers(path, version));
}

function candidates(names: readonly string[]): string[] {
  // /usr/sbin and the like are on root's path only.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/sbin', '/usr/local/bin', '/snap/bin'];
  return names.flatMap((file) => folders.filter((folder) => folder !== '').map((folder) => join(folder, file)));
}

/** Where each was found: a test file starts some of them dozens of times, and to look is to start one. */
const found = new Map<ProgramName, string>();

/** The path of a program that a test needs. `npm test` has made sure of it before. */
export function need(name: ProgramName): string {
  const path = found.get(name) ?? find(name);
  if (path === undefined) throw new Error(`${name} is missing: run "node test/support/requirements.ts", or set ${PROGRAMS[name].variable}`);
  found.set(name, path);
  return path;
}

/** On Ubuntu the package of Chromium may install a script that only asks for a snap; so being there is not enough. */
function answers(path: string, version: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    execFileSync(path, [version], { stdio: 'ignore', timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
}
