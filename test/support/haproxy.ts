import { join } from 'node:path';
import { startBalancer, type Balancer } from './balancer.ts';
import { need } from './programs.ts';
import type { Scope } from './temp.ts';

/** The configuration that operators are given, as it is: what is tested is what they run. */
const CONFIGURATION = join(import.meta.dirname, '../../deploy/haproxy.cfg');

/** HAProxy with the shipped configuration, on a free port of 127.0.0.1. @param servers Their ports: as many as the configuration has. */
export function startHaproxy(t: Scope, servers: readonly number[]): Promise<Balancer> {
  return startBalancer(t, 'HAProxy', (port) => ({
    command: need('haproxy'),
    args: ['-db', '-f', CONFIGURATION],
    env: { TIDINGS_BIND: `127.0.0.1:${port}`, ...Object.fromEntries(servers.map((server, index) => [`TIDINGS_${index + 1}`, `127.0.0.1:${server}`])) },
  }));
}
