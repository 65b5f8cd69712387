import { ServerProcess } from './process.ts';
import { findProgram, needProgram } from './programs.ts';

/** A nats-server of one server under test alone, without JetStream. */
export function startNats(folder: string): Promise<ServerProcess> {
  const command = needProgram('nats-server');
  return ServerProcess.start((port) => ({ command, args: ['-a', '127.0.0.1', '-p', String(port)], folder }));
}

export function natsMissing(): string | undefined {
  return findProgram('nats-server') === undefined ? 'nats-server is not installed: apt-get install nats-server' : undefined;
}
