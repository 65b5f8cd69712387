import { execFile, execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { Child } from './child.ts';
import { freePort } from './ports.ts';
import { need } from './programs.ts';
import { tempFolder, type Scope } from './temp.ts';

const run = promisify(execFile);

export interface PostgresOptions {
  /** Speaks TLS, with a certificate for 127.0.0.1 that vouches for itself (`certificate`). */
  readonly tls?: boolean;
  readonly password?: string;
  /** More settings, as lines of postgresql.conf. */
  readonly settings?: readonly string[];
}

const USER = 'tidings';

/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;

/** PostgreSQL refuses to run as root: where the tests do, it runs as the user that owns nothing. */
const OWNER: { readonly uid: number; readonly gid: number } | undefined = process.getuid?.() === 0
  ? { uid: Number(execFileSync('id', ['-u', 'nobody'])), gid: Number(execFileSync('id', ['-g', 'nobody'])) }
  : undefined;

/** Fresh data directories: `initdb` takes longer than everything else of a server's start, and makes the same each time. Whoever replaces the packages removes them. */
const CACHE = join(import.meta.dirname, '../../node_modules/.cache/tidings-postgres');
/** How many of them are kept. Servers of one process get different ones: the system identifier tells them apart. Stops a file with many servers from filling the disk. */
const KEPT_DIRECTORIES = 4;
let created = 0;

/** A PostgreSQL server of this test alone, on loopback, as durable as it is by default. */
export class PostgresServer {
  port = 0;
  readonly #scope: Scope;
  readonly #options: PostgresOptions;
  readonly #folder: string;
  #databases = 0;
  #child: Child | undefined;

  constructor(t: Scope, options: PostgresOptions) {
    this.#scope = t;
    this.#options = options;
    this.#folder = tempFolder(t);
    own(this.#folder);
  }

  /** The certificate to trust, with TLS: PEM. */
  get certificate(): string {
    return join(this.#data, 'server.crt');
  }

  /** The postmaster. */
  get pid(): number {
    if (this.#child === undefined) throw new Error('PostgreSQL is not running');
    return this.#child.pid;
  }

  get output(): string {
    return this.#child?.output ?? '';
  }

  get #data(): string {
    return join(this.#folder, 'data');
  }

  url(database: string, through?: { readonly port: number }): string {
    const { password } = this.#options;
    return `postgres://${USER}${password === undefined ? '' : `:${encodeURIComponent(password)}`}@127.0.0.1:${through?.port ?? this.port}/${database}`;
  }

  /** Makes it from nothing. */
  async create(): Promise<void> {
    const { password, tls, settings } = this.#options;
    await this.#initialize();
    appendFileSync(join(this.#data, 'postgresql.conf'), ["listen_addresses = '127.0.0.1'", `unix_socket_directories = '${this.#folder}'`,
      'logging_collector = off', ...(tls === true ? ['ssl = on'] : []), ...(settings ?? []), ''].join('\n'));
    if (tls === true) {
      await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
        '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', join(this.#data, 'server.key'), '-out', this.certificate]);
      for (const file of ['server.key', 'server.crt']) own(join(this.#data, file));
    }
    await this.start();
    if (password === undefined) return;
    await this.ask('postgres', `ALTER USER ${USER} PASSWORD '${password}'`);
    const rules = join(this.#data, 'pg_hba.conf');
    writeFileSync(rules, readFileSync(rules, 'utf8').replace(/^(host.*)trust$/gm, '$1scram-sha-256'));
    this.#child!.kill('SIGHUP');
  }

  /** Starts it, again on the same port, and waits until it takes connections. */
  async start(): Promise<void> {
    const again = this.port !== 0;
    for (let attempt = 1; ; attempt++) {
      if (!again) this.port = await freePort();
      // SIGQUIT is a crash to it too; killed, it would leave its shared memory to the machine, of which containers have little.
      this.#child = new Child(this.#scope, program('postgres'), ['-D', this.#data, '-p', String(this.port)], { cwd: this.#folder, ...OWNER, ending: 'SIGQUIT' });
      try {
        await this.#child.says('ready to accept');
        return;
      } catch (error) {
        if (again || attempt === PORT_ATTEMPTS || !this.#child.output.includes('in use')) throw error;
      }
    }
  }

  /** Stops it: `fast` ends connections and writes everything down, `immediate` is a crash. */
  async stop(mode: 'fast' | 'immediate' = 'immediate'): Promise<void> {
    this.#child?.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await this.#child?.exited;
  }

  /** What is left of it once it has stopped for good: copies of servers would fill the disk. */
  remove(): void {
    rmSync(this.#data, { recursive: true, force: true });
  }

  /** An empty database of this name, or of a new one. */
  async database(name = `test${++this.#databases}`): Promise<string> {
    await this.ask('postgres', `CREATE DATABASE ${name}`);
    return name;
  }

  /** Asks something past the service. Rows as arrays. */
  async ask(database: string, text: string): Promise<unknown[][]> {
    const client = new pg.Client({ connectionString: this.url(database), ...(this.#options.tls === true ? { ssl: { rejectUnauthorized: false } } : {}) });
    await client.connect();
    try {
      return (await client.query({ text, rowMode: 'array' })).rows as unknown[][];
    } finally {
      await client.end();
    }
  }

  /** A copy of this server that follows it, a standby, over a link that can break. */
  async standby(link: { readonly port: number }): Promise<PostgresServer> {
    const copy = new PostgresServer(this.#scope, this.#options);
    await copy.#run('pg_basebackup', ['-D', copy.#data, '-h', '127.0.0.1', '-p', String(link.port), '-U', USER, '-R', '-c', 'fast', '--no-sync']);
    await copy.start();
    return copy;
  }

  /** As after the loss of the primary: what did not arrive here is lost. Resolves when it takes messages. */
  async promote(): Promise<void> {
    await this.ask('postgres', 'SELECT pg_promote()');
  }

  /** Takes the place of another, which is gone for good: what reached that one by its port reaches this one. */
  async replace(other: PostgresServer): Promise<void> {
    await this.stop('fast');
    this.port = other.port;
    await this.start();
    await this.promote();
  }

  /** Copies a data directory that was kept, or makes one and keeps a copy. */
  async #initialize(): Promise<void> {
    const kept = created < KEPT_DIRECTORIES ? join(CACHE, keptName(created++)) : undefined;
    if (kept !== undefined && existsSync(kept)) {
      await run('cp', ['-a', kept, this.#data]);
      return;
    }
    await this.#run('initdb', ['-D', this.#data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']);
    if (kept !== undefined) await keep(this.#data, kept);
  }

  async #run(name: string, args: readonly string[]): Promise<void> {
    await run(program(name), args, { cwd: this.#folder, ...OWNER });
  }
}

/** Another version of PostgreSQL, or another user, makes another directory. */
function keptName(index: number): string {
  const initdb = program('initdb');
  const user = OWNER?.uid ?? process.getuid?.() ?? 0;
  return `${initdb.replaceAll(/[^\w.]/g, '_')}-${statSync(initdb).mtimeMs}-${user}-${index}`;
}

/** Another process may keep the same at the same time: one of them is first, and nobody sees half of a copy. */
async function keep(data: string, kept: string): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const making = mkdtempSync(join(CACHE, 'making-'));
  try {
    await run('cp', ['-a', data, join(making, 'data')]);
    if (!existsSync(kept)) renameSync(join(making, 'data'), kept);
  } catch (error) {
    if (!existsSync(kept)) throw error;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

function own(path: string): void {
  if (OWNER !== undefined) chownSync(path, OWNER.uid, OWNER.gid);
}

/** One of PostgreSQL's programs: they lie beside the server, of which the path may have a link only. */
function program(name: string): string {
  return join(dirname(realpathSync(need('postgres'))), name);
}

/** Starts a server that is stopped when the test is over. */
export async function startPostgres(t: Scope, options: PostgresOptions = {}): Promise<PostgresServer> {
  const server = new PostgresServer(t, options);
  await server.create();
  return server;
}
