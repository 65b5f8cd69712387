import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { exclusivePort } from '../runtime/sockets/exclusive-port.ts';

/** How long to retry a port that is in use, and how often. Workers of a killed supervisor release it within that time. */
const PORT_WAIT_MS = 2_000;
const PORT_LOOK_MS = 50;

/** A port that other programs cannot take before the first worker listens on it. */
export interface HeldPort {
  readonly port: number;
  /** Whether the system spreads connections over sockets that listen on one port. */
  readonly isShared: boolean;
  /** May be called again. */
  release(): void;
}

/**
 * Takes a port for the workers. First listens alone, to be sure that no other program has it; then listens so that the workers can share it.
 * @throws the error of `listen`
 */
export async function holdPort(host: string, port: number): Promise<HeldPort> {
  const number = await freed(host, port);
  let held: Server;
  try {
    held = await share(host, number);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return { port: number, isShared: false, release: () => undefined };
  }
  // Before a worker listens, no process can answer a connection.
  held.on('connection', (socket) => socket.destroy());
  return { port: number, isShared: true, release: () => void held.close() };
}

/** @returns The port, when no other program has it. */
async function freed(host: string, port: number): Promise<number> {
  for (const until = performance.now() + PORT_WAIT_MS; ;) {
    try {
      return await exclusivePort(host, port);
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE' || performance.now() >= until) throw error;
      await new Promise((done) => setTimeout(done, PORT_LOOK_MS));
    }
  }
}

async function share(host: string, port: number): Promise<Server> {
  const server = createServer();
  server.listen({ host, port, reusePort: true });
  await once(server, 'listening');
  return server;
}

/** Whether the system cannot share ports. */
function isMissing(error: unknown): boolean {
  return ['ENOTSUP', 'EINVAL', 'ENOPROTOOPT'].includes(codeOf(error));
}

function codeOf(error: unknown): string {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code ?? '' : '';
}
