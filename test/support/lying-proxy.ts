import { connect, createServer, type Socket } from 'node:net';
import { guardSocket, type Framing } from '../../src/runtime/sockets/guarded-socket.ts';
import { listening } from './listening.ts';
import type { Scope } from './temp.ts';

/** A TCP proxy on a free port of 127.0.0.1. What the server answers passes a function, one whole answer after the other. */
export class LyingProxy {
  readonly port: number;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(t: Scope, target: number, framing: Framing, falsify: (answer: Buffer) => Buffer): Promise<LyingProxy> {
    const sockets = new Set<Socket>();
    const proxy = createServer((client) => {
      const server = connect({ port: target, host: '127.0.0.1' });
      guardSocket(server, framing);
      for (const socket of [client, server]) {
        sockets.add(socket);
        socket.setNoDelay(true).on('error', () => undefined).on('close', () => {
          sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.on('data', (bytes) => void server.write(bytes));
      server.on('data', (answer: Buffer) => void client.write(falsify(answer)));
    });
    const port = await listening(proxy);
    t.teardown(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    });
    return new LyingProxy(port);
  }
}
