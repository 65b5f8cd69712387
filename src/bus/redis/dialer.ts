import { connect as connectTcp, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import { serverName, type Address } from '../../config/redis-url.ts';
import type { ServerDiscovery } from './discovery-contract.ts';

export interface DialerOptions {
  readonly discovery: ServerDiscovery;
  /** Called with the server of each attempt, before the socket connects. */
  readonly onDial: (address: Address) => void;
}

/**
 * Opens the sockets of a connection, and destroys them at once when it is closed. ioredis' own connectors fail here:
 * - They listen to one error of a socket. TLS reports two when its handshake is aborted, and the second would end the process.
 * - They wait for the other end to close its side, on a timer that outlives the socket. A frozen server never closes.
 * - Their connector for sentinels leaves questions unanswered when it is closed, and ends the client when no sentinel answers.
 */
export class Dialer extends AbstractConnector {
  readonly #discovery: ServerDiscovery;
  readonly #onDial: (address: Address) => void;

  constructor({ discovery, onDial }: DialerOptions) {
    super(0);
    this.#discovery = discovery;
    this.#onDial = onDial;
  }

  /** Never rejects: without a socket ioredis gives up for good, and with a broken one it tries again later. */
  override async connect(): Promise<Socket> {
    this.connecting = true;
    try {
      const address = await this.#discovery.next();
      // `disconnect` may have been called during the wait.
      this.stream = this.connecting ? this.#dial(address) : new Socket().destroy();
    } catch (error) {
      // No server is known, or its address is none.
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
    this.#onDial(address);
    const { host, port } = address;
    return this.#discovery.access.isTls ? connectTls({ host, port, ...serverName(host) }) : connectTcp({ host, port });
  }
}
