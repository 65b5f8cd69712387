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
  /** The question that the next reply on the newest socket answers. */
  readonly conversation: () => Conversation;
}

/**
 * Opens the sockets of a connection, and destroys them at once when it is closed. ioredis' own connectors fail here:
 * - They listen to one error of a socket. TLS reports two when its handshake is aborted, and the second would end the process.
 * - They wait for the other end to close its side, on a timer that outlives the socket. A frozen server never closes.
 * - Their connector for sentinels leaves questions unanswered when it is closed, and ends the client when no sentinel answers.
 * - They hand ioredis every byte that comes, and some of those would end the process (`reply-framing.ts`).
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

  /** Never rejects: without a socket ioredis gives up for good, and with a broken one it tries again later. */
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
