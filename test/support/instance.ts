import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, type Exit } from './child.ts';
import { COMPILE_CACHE } from './compile-cache.ts';
import { emptyDatabase, isPostgres } from './database.ts';
import { freePort } from './ports.ts';
import { tempFolder, type Scope } from './temp.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

/** Stops an instance that never becomes ready from hanging the run. Milliseconds. */
const READY_LIMIT = 120_000;
const READY_POLL = 20;
/** What it prints once its log is open and its port listens. It is asked nothing before: questions would cost it and the test more than the start itself. */
const GREETING = 'Tidings listens on';
/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;

export interface InstanceOptions {
  /** When it counts as started; answers are asked for until one is true. By default when it has said that it listens, and GET /readyz is 200. */
  readonly ready?: (instance: Instance) => boolean | Promise<boolean>;
  /** A command that it is started by, and that becomes it: `strace -D …`, `setpriv …`. */
  readonly by?: readonly string[];
  /** Its entry point, and nothing compiled before; by default src/main.ts. */
  readonly entry?: string;
}

/**
 * Tidings as it is run: a process of its own, from its entry point, in an empty folder, on a free port of 127.0.0.1. Its
 * environment is what the test gives it and nothing from around, tap's NODE_OPTIONS among the rest: they slow its start
 * and change its memory.
 */
export class Instance {
  readonly port: number;
  readonly url: string;
  /** Its working directory; without DATABASE_URL its database is there, unless the tests run on PostgreSQL. */
  readonly folder: string;
  readonly #scope: Scope;
  #env: Readonly<Record<string, string>>;
  readonly #ready: ((instance: Instance) => boolean | Promise<boolean>) | undefined;
  readonly #by: readonly string[];
  #entry: string | undefined;
  #child: Child;

  constructor(t: Scope, port: number, env: Readonly<Record<string, string>>, options: InstanceOptions) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.folder = tempFolder(t);
    this.#scope = t;
    this.#env = env;
    this.#ready = options.ready;
    this.#by = options.by ?? [];
    this.#entry = options.entry;
    this.#child = this.#spawn();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Everything the running process has printed: one JSON object a line. */
  get output(): string {
    return this.#child.output;
  }

  /** Resolves when the running process has ended. */
  get exited(): Promise<Exit> {
    return this.#child.exited;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until its output says so. */
  says(text: string | RegExp): Promise<void> {
    return this.#child.says(text);
  }

  /** Ends it with a signal if it still runs, and starts it again: same port, folder and environment. */
  async restart(signal: NodeJS.Signals = 'SIGKILL', ready = this.#ready): Promise<void> {
    this.kill(signal);
    await this.exited;
    this.#child = this.#spawn();
    await this.started(ready);
  }

  /** Ends it in order, and starts another version of the program in its place, which is restarted from then on. Without an entry point, this one. @param env Settings that change. */
  async replace(entry?: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#entry = entry;
    this.#env = { ...this.#env, ...env };
    await this.restart('SIGTERM');
  }

  async started(isReady = this.#ready): Promise<void> {
    const limit = Date.now() + READY_LIMIT;
    if (isReady === undefined) await this.says(GREETING);
    const ready = isReady ?? (async () => await status(`${this.url}/readyz`) === 200);
    while (!await ready(this)) {
      if (!this.#child.running) throw new Error(`The instance ended while it started:\n${this.output}`);
      if (Date.now() > limit) throw new Error(`The instance did not become ready:\n${this.output}`);
      await sleep(READY_POLL);
    }
  }

  #spawn(): Child {
    const env = { PATH: process.env['PATH'], PORT: String(this.port), HOST: '127.0.0.1', ...(this.#entry === undefined ? { NODE_COMPILE_CACHE: COMPILE_CACHE } : {}), ...this.#env };
    const line = [...this.#by, process.execPath, this.#entry ?? MAIN];
    return new Child(this.#scope, line[0]!, line.slice(1), { cwd: this.folder, env });
  }
}

/** Signs of life come at any moment; a test that compares what a stream says sees some only if it asks for them. */
const QUIET = { HEARTBEAT_SECONDS: '3600' };

/**
 * Whether instances under test have the fast path: the other switch, beside the one of database.ts. Unset, they do; with `TIDINGS_TEST_FAST_PATH=off npx tap
 * test/wire` every request takes the ordinary way. test/ordinary runs what is to run both ways.
 */
function edge(): Readonly<Record<string, string>> {
  const wanted = process.env['TIDINGS_TEST_FAST_PATH'];
  return wanted === undefined ? {} : { HTTP_FAST_PATH: wanted };
}

/** Starts an instance, on a log of its own unless it is told another, and waits until it is ready. It is killed when the test is over. */
export async function startInstance(t: Scope, env: Readonly<Record<string, string>> = {}, options: InstanceOptions = {}): Promise<Instance> {
  const where: Record<string, string> = isPostgres && env['DATABASE_URL'] === undefined ? { DATABASE_URL: await emptyDatabase(t) } : {};
  for (let attempt = 1; ; attempt++) {
    const instance = new Instance(t, await freePort(), { ...QUIET, ...edge(), ...where, ...env }, options);
    try {
      await instance.started();
      return instance;
    } catch (error) {
      if (attempt === PORT_ATTEMPTS || !instance.output.includes('EADDRINUSE')) throw error;
    }
  }
}

/** Where an instance with `OPS_PORT: '0'` answers operations. */
export function operationsUrl({ output }: Instance): string {
  const url = /operations are answered at (http:[^\s"]+)/.exec(output)?.[1];
  if (url === undefined) throw new Error('The instance does not say where it answers operations.');
  return url;
}

/** The status of an answer to GET, over a connection of its own; undefined when there is none. */
function status(url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: READY_LIMIT }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.once('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}
