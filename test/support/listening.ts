import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';

/**
 * Opens a server on 127.0.0.1, on a free port unless one is given, and resolves with the port. Rejects if the server cannot listen there. A server that goes away and comes back needs a port of
 * `freePort`: the system gives others to outgoing connections meanwhile, also to that of a client which tries to reach it and then reaches itself.
 */
export async function listening(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
