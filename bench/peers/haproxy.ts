import { join } from 'node:path';
import { ServerProcess } from './process.ts';
import { findProgram, needProgram } from './programs.ts';

/** The configuration that operators are given, as it is. */
const CONFIGURATION = join(import.meta.dirname, '../../deploy/haproxy.cfg');

/** HAProxy before instances on these ports: as many as the configuration has. */
export function startHaproxy(ports: readonly number[]): Promise<ServerProcess> {
  const command = needProgram('haproxy');
  return ServerProcess.start((port) => ({
    command,
    args: ['-db', '-f', CONFIGURATION],
    env: { TIDINGS_BIND: `127.0.0.1:${port}`, ...Object.fromEntries(ports.map((own, index) => [`TIDINGS_${index + 1}`, `127.0.0.1:${own}`])) },
    folder: import.meta.dirname,
  }));
}

export function haproxyMissing(): string | undefined {
  return findProgram('haproxy') === undefined ? 'haproxy is not installed: apt-get install haproxy' : undefined;
}
