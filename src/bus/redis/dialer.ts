import { connect as connectTcp, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import { serverName, type Address } from '../../config/redis-url.ts';
import type { Route } from './discovery.ts';

/**
 * Opens the sockets, and closes them at once. Those of ioredis listen to one error of a socket, and a second one ends the
 * process: TLS reports two when a connection is given up in its handshake. They also wait for the other end to say goodbye,
 * which a frozen one never does, on a timer that outlives the socket; and the one for sentinels leaves questions behind when it is
 * closed, and makes an end of the client when it has no answer.
 */
export class Dialer extends AbstractConnector {
  readonly #route: Route;
  readonly #dialed: (at: Address) => void;

  constructor(route: Route, dialed: (at: Address) => void) {
    super(0);
    this.#route = route;
    this.#dialed = dialed;
  }

  /** Never rejects: ioredis gives up for good when it gets no socket, and tries again later when it gets a broken one. */
  override async connect(): Promise<Socket> {
    this.connecting = true;
    try {
      const address = await this.#route.next();
      // It may have been closed meanwhile.
      this.stream = this.connecting ? this.#dial(address) : new Socket().destroy();
    } catch (error) {
      // There is nowhere to go, or that is no address.
      this.firstError = error instanceof Error ? error : new Error(String(error));
      this.stream = new Socket().destroy();
    }
    this.stream.on('error', (error) => {
      this.firstError = error;
    });
    return this.stream;
  }

  override disconnect(): void {
    this.connecting = false;
    const stream: Socket | undefined = this.stream;
    stream?.destroy();
  }

  #dial(address: Address): Socket {
    this.#dialed(address);
    const { host, port } = address;
    return this.#route.access.isTls ? connectTls({ host, port, ...serverName(host) }) : connectTcp({ host, port });
  }
}
