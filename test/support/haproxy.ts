import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBalancer, type Balancer } from './balancer.ts';
import { need } from './programs.ts';
import { tempFolder, type Scope } from './temp.ts';

/** The configuration that operators are given, as it is: what is tested is what they run. */
const CONFIGURATION = join(import.meta.dirname, '../../deploy/haproxy.cfg');

/** An instance that stands still for seconds on a busy machine is not taken for dead. One that is gone refuses connections, which shows at once. */
export const PATIENT_CHECKS = { 'timeout check 2s': 'timeout check 60s' };

/** Settings of instances whose streams are to outlast a slow start of others: HAProxy cuts what is silent for 75 seconds. */
export const ALIVE = { HEARTBEAT_SECONDS: '10' };

export interface HaproxyOptions {
  /** Parts of the configuration that are other ones here, mostly times: each must be there. */
  readonly replace?: Readonly<Record<string, string>>;
}

/** HAProxy with the shipped configuration, on a free port of 127.0.0.1. @param servers Their ports: as many as the configuration has. */
export function startHaproxy(t: Scope, servers: readonly number[], { replace = {} }: HaproxyOptions = {}): Promise<Balancer> {
  const file = Object.keys(replace).length === 0 ? CONFIGURATION : changed(t, replace);
  return startBalancer(t, 'HAProxy', (port) => ({
    command: need('haproxy'),
    args: ['-db', '-f', file],
    env: { TIDINGS_BIND: `127.0.0.1:${port}`, ...Object.fromEntries(servers.map((server, index) => [`TIDINGS_${index + 1}`, `127.0.0.1:${server}`])) },
  }));
}

function changed(t: Scope, replace: Readonly<Record<string, string>>): string {
  const file = join(tempFolder(t), 'haproxy.cfg');
  writeFileSync(file, Object.entries(replace).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`deploy/haproxy.cfg has no ${JSON.stringify(from)}`);
    return text.replaceAll(from, to);
  }, readFileSync(CONFIGURATION, 'utf8')));
  return file;
}

/** HAProxy as somebody begins with it: `mode http`, and these lines. It speaks HTTP/1.1, or HTTP/2 without TLS. */
export function startPlainHaproxy(t: Scope, server: number, lines: readonly string[] = [], bind = ''): Promise<Balancer> {
  const file = join(tempFolder(t), 'haproxy.cfg');
  return startBalancer(t, 'HAProxy', (port) => {
    writeFileSync(file, ['defaults', 'mode http', 'timeout connect 5s', 'timeout client 75s', 'timeout server 75s', 'listen plain', `bind 127.0.0.1:${port} ${bind}`, ...lines, `server one 127.0.0.1:${server}`, ''].join('\n'));
    return { command: need('haproxy'), args: ['-db', '-f', file], env: {} };
  });
}
