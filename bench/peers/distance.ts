import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Bytes of one direction that are under way: far more than a connection to a database has. It stops reading there. */
const UNDER_WAY_BYTES = 16 * 1024 * 1024;

/** A server that is some way off: a TCP proxy on loopback that hands on each piece half of the distance later, in both directions. */
export class Distance {
  readonly port: number;
  readonly #stop: () => void;

  private constructor(port: number, stop: () => void) {
    this.port = port;
    this.#stop = stop;
  }

  /** @param roundTripMs How long a piece and its answer are under way. */
  static async start(target: number, roundTripMs: number): Promise<Distance> {
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (near) => {
      const far = connect({ port: target, host: '127.0.0.1', noDelay: true });
      for (const [from, to] of [[near, far], [far, near]] as const) {
        sockets.add(from);
        let underWay = 0;
        from.on('data', (piece: Buffer) => {
          underWay += piece.length;
          if (underWay > UNDER_WAY_BYTES) from.pause();
          setTimeout(() => {
            underWay -= piece.length;
            if (to.writable) to.write(piece);
            from.resume();
          }, roundTripMs / 2);
        });
        // Nobody asks why an end of it went: the other one is told, as late as anything.
        from.on('error', () => undefined);
        from.on('close', () => {
          sockets.delete(from);
          setTimeout(() => to.destroy(), roundTripMs / 2);
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Distance((server.address() as AddressInfo).port, () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
  }

  stop(): void {
    this.#stop();
  }
}
