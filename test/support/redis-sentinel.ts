import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Child } from './child.ts';
import { freePort } from './ports.ts';
import { need } from './programs.ts';
import { startRedis, type RedisOptions, type RedisServer } from './redis.ts';
import { tempFolder, type Scope } from './temp.ts';
import { until } from './until.ts';

export const MASTER = 'tidings-test';
const SENTINELS = 3;
/** After how long one that was asked for is asked for again: milliseconds. */
const FAILOVER_LIMIT = 20_000;
const FAILOVER_ATTEMPTS = 6;

export interface SentinelOptions {
  /** After how long without an answer a master counts as dead: milliseconds. Long where no failover is wanted, so that a busy machine makes none. */
  readonly downAfter?: number;
  /** Of the servers that carry messages. */
  readonly password?: string;
  /** Of the sentinels. */
  readonly sentinelPassword?: string;
}

/** A master, a replica, and three sentinels, two of which have to agree. */
class SentinelFleet {
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly SentinelServer[];
  readonly #scope: Scope;
  readonly #options: SentinelOptions;
  readonly #clients = new Map<number, Redis>();

  constructor(t: Scope, servers: readonly RedisServer[], sentinels: readonly SentinelServer[], options: SentinelOptions) {
    this.#scope = t;
    this.servers = servers;
    this.sentinels = sentinels;
    this.#options = options;
  }

  get url(): string {
    const { password, sentinelPassword } = this.#options;
    const user = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
    const query = sentinelPassword === undefined ? '' : `?sentinelPassword=${encodeURIComponent(sentinelPassword)}`;
    return `redis+sentinel://${user}${this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${MASTER}${query}`;
  }

  /** Where the sentinels say that the master is, once they agree. */
  async master(): Promise<RedisServer> {
    let found: RedisServer | undefined;
    await until('the sentinels agree on a master', async () => {
      const ports = new Set<string>();
      for (const { port, running } of this.sentinels) if (running) ports.add(String(((await this.#ask(port, 'GET-MASTER-ADDR-BY-NAME', MASTER)) as string[])[1]));
      found = this.servers.find(({ port }) => ports.size === 1 && ports.has(String(port)));
      return found !== undefined;
    });
    return found!;
  }

  /** Has a replica promoted while the master lives, and waits until the sentinels agree that it was; the old master becomes its replica. */
  async failover(): Promise<void> {
    const before = await this.master();
    for (let attempt = 1; ; attempt++) {
      // It may be refused, while another one is under way or no replica is known to be well; and it may come to nothing on a busy machine.
      await this.#ask(this.sentinels[0]!.port, 'FAILOVER', MASTER).catch(() => undefined);
      try {
        await until('another is the master', async () => await this.master() !== before, FAILOVER_LIMIT);
        return;
      } catch (error) {
        if (attempt === FAILOVER_ATTEMPTS) throw error;
      }
    }
  }

  /** Leaves too few of the sentinels to decide anything. */
  async stopMost(): Promise<void> {
    for (const sentinel of this.sentinels.slice(1)) await sentinel.stop();
  }

  async startAll(): Promise<void> {
    for (const sentinel of this.sentinels) if (!sentinel.running) await sentinel.start();
  }

  /** Every sentinel knows the others and the replica, and thinks well of them. */
  async whole(): Promise<void> {
    for (const { port } of this.sentinels) {
      await until('a sentinel knows all', async () => {
        const master = facts(await this.#ask(port, 'MASTER', MASTER));
        const replicas = (await this.#ask(port, 'REPLICAS', MASTER)) as unknown[];
        return master['flags'] === 'master' && Number(master['num-other-sentinels']) === SENTINELS - 1
          && replicas.some((one) => facts(one)['flags'] === 'slave' && facts(one)['master-link-status'] === 'ok');
      });
    }
  }

  #ask(port: number, ...words: string[]): Promise<unknown> {
    let client = this.#clients.get(port);
    if (client === undefined) {
      const made = new Redis({ port, host: '127.0.0.1', ...(this.#options.sentinelPassword === undefined ? {} : { password: this.#options.sentinelPassword }), enableReadyCheck: false });
      made.on('error', () => undefined);
      this.#scope.teardown(() => made.disconnect());
      this.#clients.set(port, made);
      client = made;
    }
    return client.call('SENTINEL', ...words);
  }
}

/** One of the sentinels: `redis-server --sentinel`. */
export class SentinelServer {
  port = 0;
  readonly #scope: Scope;
  readonly #folder: string;
  readonly #lines: readonly string[];
  readonly #isTls: boolean;
  #child: Child | undefined;

  /** @param lines Of its configuration. */
  constructor(t: Scope, lines: readonly string[], { tls = false } = {}) {
    this.#isTls = tls;
    this.#scope = t;
    this.#folder = tempFolder(t);
    this.#lines = lines;
  }

  get pid(): number {
    return this.#child!.pid;
  }

  get running(): boolean {
    return this.#child?.running === true;
  }

  async start(): Promise<void> {
    const file = join(this.#folder, 'sentinel.conf');
    // It writes down there what it learns, and goes on from there when it is started again.
    if (this.port === 0) {
      this.port = await freePort();
      writeFileSync(file, [...(this.#isTls ? ['port 0', `tls-port ${this.port}`] : [`port ${this.port}`]), 'bind 127.0.0.1', `dir ${this.#folder}`, ...this.#lines, ''].join('\n'));
    }
    this.#child = new Child(this.#scope, need('redis-server'), [file, '--sentinel'], { cwd: this.#folder });
    await this.#child.says('+monitor master');
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#child?.exited;
  }
}

/** Starts a fleet, and waits until the sentinels could do a failover. */
export async function startSentinels(t: Scope, options: SentinelOptions = {}): Promise<SentinelFleet> {
  const { password, sentinelPassword, downAfter = 60_000 } = options;
  const settings = ['--repl-diskless-sync-delay', '0', ...(password === undefined ? [] : ['--masterauth', password])];
  const common: RedisOptions = { ...(password === undefined ? {} : { password }), settings };
  const master = await startRedis(t, common);
  const replica = await startRedis(t, { ...common, settings: [...settings, '--replicaof', '127.0.0.1', String(master.port)] });
  const lines = [
    `sentinel monitor ${MASTER} 127.0.0.1 ${master.port} 2`,
    `sentinel down-after-milliseconds ${MASTER} ${downAfter}`,
    // How soon a failover that came to nothing is tried again: after twice this.
    `sentinel failover-timeout ${MASTER} 5000`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${MASTER} ${JSON.stringify(password)}`]),
    ...(sentinelPassword === undefined ? [] : [`requirepass ${JSON.stringify(sentinelPassword)}`, `sentinel sentinel-pass ${JSON.stringify(sentinelPassword)}`]),
  ];
  const sentinels = Array.from({ length: SENTINELS }, () => new SentinelServer(t, lines));
  for (const sentinel of sentinels) await sentinel.start();
  const fleet = new SentinelFleet(t, [master, replica], sentinels, options);
  await fleet.whole();
  return fleet;
}

function facts(list: unknown): Record<string, string> {
  const words = (list as unknown[]).map(String);
  return Object.fromEntries(Array.from({ length: words.length / 2 }, (_, index) => [words[2 * index]!, words[2 * index + 1]!]));
}
