import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate, trust } from './certificates.ts';
import { Child } from './child.ts';
import { freePort } from './ports.ts';
import { need } from './programs.ts';
import { tempFolder, type Scope } from './temp.ts';

/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;

export interface NatsOptions {
  /** Lines of its configuration file. */
  readonly settings?: string;
  /** What stands before the host in its URL. */
  readonly access?: string;
  /** Speaks TLS only, with a certificate for 127.0.0.1 that vouches for itself. */
  readonly tls?: boolean;
}

/** A nats-server of this test alone, on loopback, without JetStream. */
export class NatsServer {
  port = 0;
  readonly #scope: Scope;
  readonly #options: NatsOptions;
  readonly #folder: string;
  #child: Child | undefined;

  constructor(t: Scope, options: NatsOptions) {
    this.#scope = t;
    this.#options = options;
    this.#folder = tempFolder(t);
    if (options.tls === true) makeCertificate(this.#folder);
  }

  get url(): string {
    const { access, tls } = this.#options;
    return `${tls === true ? 'tls' : 'nats'}://${access === undefined ? '' : `${access}@`}127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (this.#child === undefined) throw new Error('NATS is not running');
    return this.#child.pid;
  }

  /** Makes this process trust its certificate until the test is over. */
  trust(): void {
    trust(this.#scope, readFileSync(join(this.#folder, 'cert.pem'), 'utf8'));
  }

  /** Starts it, again on the same port, and waits until it takes connections. */
  async start(): Promise<void> {
    const again = this.port !== 0;
    const { settings = '', tls } = this.#options;
    const file = join(this.#folder, 'nats.conf');
    writeFileSync(file, `${settings}\n${tls === true ? `tls { cert_file: "${join(this.#folder, 'cert.pem')}", key_file: "${join(this.#folder, 'key.pem')}" }\n` : ''}`);
    for (let attempt = 1; ; attempt++) {
      if (!again) this.port = await freePort();
      this.#child = new Child(this.#scope, need('nats-server'), ['-a', '127.0.0.1', '-p', String(this.port), '-c', file], { cwd: this.#folder });
      try {
        await this.#child.says('Server is ready');
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
}

/** Starts a nats-server that is stopped when the test is over. */
export async function startNats(t: Scope, options: NatsOptions = {}): Promise<NatsServer> {
  const server = new NatsServer(t, options);
  await server.start();
  return server;
}
