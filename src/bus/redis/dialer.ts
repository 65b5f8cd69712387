import { connect as connectTcp, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import { serverName, type Address } from '../../config/redis-url.ts';
import { guardSocket } from '../../runtime/sockets/guarded-socket.ts';
import type { ServerDiscovery } from './discovery-contract.ts';
import { replyFraming, type Conversation } from './reply-framing.ts';

export interface DialerOptions {
  readonly discovery: ServerDiscovery;
  /** Called with the server of each attempt, before the socket connects. */
  readonly onDial: (address: Address) => void;
  /** The command that the next reply of the newest socket answers. */
  readonly conversation: () => Conversation;
}

/**
 * Opens the sockets of a connection, and destroys a socket at once when the connection closes it. It replaces ioredis' own connectors, which have four faults:
 * - They listen to one error of a socket. An aborted TLS handshake reports two errors, and the second would end the process.
 * - They wait until the server closes its side, on a timer that outlives the socket. A frozen server never closes.
 * - The connector for sentinels never settles its queries when it is closed, and ends the client when no sentinel answers.
 * - They pass every received byte to ioredis. Some replies make ioredis throw an error that ends the process (`reply-framing.ts`).
 */
export class Dialer extends AbstractConnector {
  readonly #discovery: ServerDiscovery;
  readonly #onDial: (address: Address) => void;
  readonly #conversation: () => Conversation;

  constructor({ discovery, onDial, conversation }: DialerOptions) {
    super(0);
    this.#discovery = discovery;
    this.#onDial = onDial;
    this.#conversation = conversation;
  }

  /** Never rejects: after a rejection ioredis gives up for good. On failure it returns a destroyed socket, after which ioredis tries again later. */
  override async connect(): Promise<Socket> {
    this.connecting = true;
    try {
      const address = await this.#discovery.next();
      // `disconnect` may have been called during the wait.
      this.stream = this.connecting ? this.#dial(address) : new Socket().destroy();
    } catch (error) {
      // No server is known, or its address is invalid.
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
    const socket = this.#discovery.access.isTls ? connectTls({ host, port, ...serverName(host) }) : connectTcp({ host, port });
    guardSocket(socket, replyFraming(this.#conversation));
    return socket;
  }
}
