import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/**
 * Finds out whether a port is free. Sockets that share a port (SO_REUSEPORT) let in every socket of the same user that wants to share it, another service's too. So the port is taken for this process
 * alone first, which fails where anybody has it, and is given back.
 * @returns The port; where it is 0, one that the system chose.
 * @throws what listening threw
 */
export async function exclusivePort(host: string, port: number): Promise<number> {
  const probe = createServer().listen({ host, port });
  await once(probe, 'listening');
  const { port: number } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return number;
}
