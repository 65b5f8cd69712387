import { makeCertificate, trust } from './certificates.ts';
import { Child } from './child.ts';
import { freeClusterPort, freePort } from './ports.ts';
import { need } from './programs.ts';
import { tempFolder, type Scope } from './temp.ts';

export interface RedisOptions {
  readonly password?: string;
  /** Speaks TLS only, with a certificate for 127.0.0.1 that vouches for itself (`certificate`). */
  readonly tls?: boolean;
  /** A node of a cluster, of which it knows nothing yet. */
  readonly cluster?: boolean;
  /** More settings, as on redis-server's command line. */
  readonly settings?: readonly string[];
}

/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;

/** A redis-server of this test alone, on loopback, without persistence. */
export class RedisServer {
  port = 0;
  /** Where its files are: with TLS, cert.pem and key.pem too. */
  readonly folder: string;
  /** The certificate to trust, with TLS: PEM. */
  readonly certificate: string | undefined;
  readonly #scope: Scope;
  readonly #options: RedisOptions;
  #child: Child | undefined;

  constructor(t: Scope, options: RedisOptions) {
    this.#scope = t;
    this.#options = options;
    this.folder = tempFolder(t);
    if (options.tls === true) this.certificate = makeCertificate(this.folder);
  }

  get url(): string {
    const { password, tls } = this.#options;
    return `${tls === true ? 'rediss' : 'redis'}://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (this.#child === undefined) throw new Error('Redis is not running');
    return this.#child.pid;
  }

  /** Makes this process trust its certificate until the test is over. */
  trust(): void {
    trust(this.#scope, this.certificate!);
  }

  /** Starts it, again on the same port, and waits until it takes connections. */
  async start(): Promise<void> {
    const again = this.port !== 0;
    for (let attempt = 1; ; attempt++) {
      if (!again) this.port = await (this.#options.cluster === true ? freeClusterPort() : freePort());
      this.#child = new Child(this.#scope, need('redis-server'), this.#args(), { cwd: this.folder });
      try {
        await this.#child.says('Ready to accept connections');
        return;
      } catch (error) {
        if (again || attempt === PORT_ATTEMPTS || !this.#child.output.includes('in use')) throw error;
      }
    }
  }

  /** Stops it at once, also when it was paused with SIGSTOP. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#child?.exited;
  }

  #args(): string[] {
    const { password, tls, cluster, settings } = this.#options;
    return [
      '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.folder,
      ...(tls === true
        ? ['--port', '0', '--tls-port', String(this.port), '--tls-cert-file', 'cert.pem', '--tls-key-file', 'key.pem', '--tls-auth-clients', 'no']
        : ['--port', String(this.port)]),
      ...(password === undefined ? [] : ['--requirepass', password]),
      ...(cluster === true ? ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'] : []),
      ...(settings ?? []),
    ];
  }
}

/** Starts a redis-server that is stopped when the test is over. */
export async function startRedis(t: Scope, options: RedisOptions = {}): Promise<RedisServer> {
  const server = new RedisServer(t, options);
  await server.start();
  return server;
}
