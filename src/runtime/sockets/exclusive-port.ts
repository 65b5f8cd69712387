import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/**
 * Finds out whether a port is free, before this process shares it (SO_REUSEPORT). Any process of the same user can join a shared port, even another service. So this function first
 * listens without sharing, which fails if any process listens, and closes the port again.
 * @returns The port; if it is 0, a port that the system chose.
 * @throws The error of listening.
 */
export async function exclusivePort(host: string, port: number): Promise<number> {
  const probe = createServer().listen({ host, port });
  await once(probe, 'listening');
  const { port: number } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return number;
}
