import { ServerProcess } from './process.ts';
import { findProgram, needProgram, said } from './programs.ts';

/** A redis-server of one server under test alone, without persistence: what peers share messages through. */
export function startRedis(folder: string): Promise<ServerProcess> {
  const command = needProgram('redis-server');
  return ServerProcess.start((port) => ({
    command,
    args: ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', folder],
    folder,
  }));
}

export function redisMissing(): string | undefined {
  return findProgram('redis-server') === undefined ? 'redis-server is not installed: apt-get install redis-server' : undefined;
}

export async function redisVersion(): Promise<string> {
  return /v=([0-9.]+)/.exec(await said(needProgram('redis-server'), ['--version']))?.[1] ?? '';
}
