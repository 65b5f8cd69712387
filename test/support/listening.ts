import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';

/** Opens a server on 127.0.0.1, on a free port unless one is given, and resolves with the port. Rejects if the server cannot listen there. */
export async function listening(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
