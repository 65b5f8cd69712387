import { execFile, execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ServerProcess, type Owner } from './process.ts';
import { findExecutable, findProgram, said } from './programs.ts';

const USER = 'tidings';

/** Where Debian keeps each version's programs, none of them on the path. */
const VERSIONS = '/usr/lib/postgresql';

/**
 * PostgreSQL's defaults, but for where it listens: `fsync` and `synchronous_commit` are on, so that what is answered is on disk, and the
 * buffers, the checkpoints and the autovacuum are those of a server that nobody has tuned.
 */
const SETTINGS = ["listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", 'logging_collector = off'];

/**
 * A PostgreSQL server of one server under test alone, on loopback.
 * @param folder Empty, and of nobody else: it is given to the user that PostgreSQL runs as.
 */
export async function startPostgres(folder: string): Promise<ServerProcess> {
  const owner = ownerOfData();
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid);
  const data = join(folder, 'data');
  await promisify(execFile)(program('initdb'), ['-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'], { cwd: folder, ...owner });
  appendFileSync(join(data, 'postgresql.conf'), [...SETTINGS, ''].join('\n'));
  return ServerProcess.start((port) => ({
    command: program('postgres'),
    args: ['-D', data, '-p', String(port)],
    folder,
    owner,
    // SIGTERM would wait for connections to end.
    stopSignal: 'SIGINT',
    // It takes connections before it lets anybody in.
    ready: () => letsIn(port),
  }));
}

/** The database that every server has. */
export function postgresUrl(port: number): string {
  return `postgres://${USER}@127.0.0.1:${port}/postgres`;
}

export function postgresMissing(): string | undefined {
  return findPostgres() === undefined ? 'PostgreSQL is not installed: apt-get install postgresql' : undefined;
}

export async function postgresVersion(): Promise<string> {
  return /\(PostgreSQL\) (\S+)/.exec(await said(program('postgres'), ['--version']))?.[1] ?? '';
}

/** PostgreSQL refuses to run as root: then it runs as the user that owns nothing. */
function ownerOfData(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const nobody = (kind: '-u' | '-g'): number => Number(execFileSync('id', [kind, 'nobody'], { encoding: 'utf8' }));
  return { uid: nobody('-u'), gid: nobody('-g') };
}

async function letsIn(port: number): Promise<boolean> {
  try {
    await said(program('pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port), '-U', USER, '-d', 'postgres']);
    return true;
  } catch {
    return false;
  }
}

/** One of PostgreSQL's programs: they lie beside the server, of which the path may have a link only. */
function program(name: string): string {
  const server = findPostgres();
  if (server === undefined) throw new Error('PostgreSQL is not installed');
  return join(dirname(realpathSync(server)), name);
}

function findPostgres(): string | undefined {
  return findProgram('postgres') ?? findExecutable(versions().map((version) => join(VERSIONS, version, 'bin/postgres')));
}

/** The newest first. */
function versions(): string[] {
  try {
    return readdirSync(VERSIONS).toSorted((one, other) => Number(other) - Number(one));
  } catch {
    return [];
  }
}
