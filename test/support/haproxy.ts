import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Child } from './child.ts';
import { freePort } from './ports.ts';
import { need } from './programs.ts';
import { tempFolder, type Scope } from './temp.ts';
import { until } from './until.ts';

/** The configuration that operators are given: what is tested is what they run. */
const CONFIGURATION = join(import.meta.dirname, '../../deploy/haproxy.cfg');

/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;

export interface HaproxyOptions {
  /** Parts of the configuration that are other ones here, mostly times: each must be there. */
  readonly replace?: Readonly<Record<string, string>>;
}

/** HAProxy with the shipped configuration, on a free port of 127.0.0.1, before servers of 127.0.0.1. */
export class Haproxy {
  readonly port: number;
  readonly #child: Child;

  private constructor(port: number, child: Child) {
    this.port = port;
    this.#child = child;
  }

  /** @param servers Their ports: as many as the configuration has. */
  static async start(t: Scope, servers: readonly number[], options: HaproxyOptions = {}): Promise<Haproxy> {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const file = join(tempFolder(t), 'haproxy.cfg');
      writeFileSync(file, configuration(port, servers, options.replace ?? {}));
      const child = new Child(t, need('haproxy'), ['-db', '-f', file]);
      await until('HAProxy takes connections', async () => !child.running || await takesConnections(port));
      if (child.running) return new Haproxy(port, child);
      if (attempt === PORT_ATTEMPTS || !child.output.includes('Address already in use')) throw new Error(`HAProxy ended:\n${child.output}`);
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child.pid;
  }
}

function configuration(port: number, servers: readonly number[], replace: Readonly<Record<string, string>>): string {
  let text = readFileSync(CONFIGURATION, 'utf8');
  const put = (from: string, to: string): void => {
    if (!text.includes(from)) throw new Error(`deploy/haproxy.cfg has no ${JSON.stringify(from)}`);
    text = text.replaceAll(from, to);
  };
  put('bind 127.0.0.1:8080', `bind 127.0.0.1:${port}`);
  servers.forEach((server, index) => put(`server tidings-${index + 1} 127.0.0.1:${8081 + index}`, `server tidings-${index + 1} 127.0.0.1:${server}`));
  for (const [from, to] of Object.entries(replace)) put(from, to);
  return text;
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });
}
