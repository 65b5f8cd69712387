import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { listening } from './listening.ts';
import type { Scope } from './temp.ts';

/**
 * The network between two programs: a TCP proxy on a free port of 127.0.0.1 that passes everything on as it is, until it
 * is told to break.
 */
export class Link {
  #target: number;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  #state: 'well' | 'cut' | 'silent' = 'well';
  #delay = 0;

  private constructor(target: number) {
    this.#target = target;
    // A client that has sent all it wants to send may still wait for the answer.
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
  }

  static async start(t: Scope, target: number): Promise<Link> {
    const link = new Link(target);
    await listening(link.#server);
    t.teardown(() => link.#close());
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** New connections go to another port: what it leads to has moved. */
  lead(target: number): void {
    this.#target = target;
  }

  /** Every connection is reset, and so is each that is made from now on, until `heal`. */
  cut(): void {
    this.#state = 'cut';
    this.reset();
  }

  /** Every connection is reset; new ones pass. */
  reset(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** What goes either way takes so many milliseconds longer, until `heal`. */
  slow(delay: number): void {
    this.#delay = delay;
  }

  /**
   * Nothing passes on any connection, and neither end is told: they are half open. `heal` resets them, as the network does
   * after a while.
   * @param all Connections that are made from now on are silent too; otherwise those pass.
   */
  silence(all: boolean): void {
    if (all) this.#state = 'silent';
    for (const connection of this.#connections) connection.silence();
  }

  heal(): void {
    this.#state = 'well';
    this.#delay = 0;
    for (const connection of this.#connections) if (connection.isSilent) connection.reset();
  }

  #accept(client: Socket): void {
    if (this.#state === 'cut') {
      client.on('error', () => client.destroy());
      client.resetAndDestroy();
      return;
    }
    const connection = new Connection(client, connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true }), () => this.#delay, () => this.#connections.delete(connection));
    this.#connections.add(connection);
    if (this.#state === 'silent') connection.silence();
  }

  async #close(): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Connection {
  readonly #ends: readonly [Socket, Socket];
  isSilent = false;

  constructor(client: Socket, server: Socket, delay: () => number, over: () => void) {
    this.#ends = [client, server];
    let open = 2;
    for (const [from, to] of [[client, server], [server, client]] as const) {
      from.setNoDelay(true);
      const way = new Way(from, to, delay);
      from.on('data', (bytes) => {
        if (!this.isSilent) way.carry(bytes);
      });
      from.on('end', () => {
        if (!this.isSilent) way.carry(undefined);
      });
      // What a connection breaks of is what this is for; what follows is done on `close`.
      from.on('error', () => undefined);
      from.on('close', (failed) => {
        if (--open === 0) over();
        // Over a network that is silent, the other end does not hear of it.
        if (this.isSilent) return;
        if (failed) this.reset();
      });
    }
  }

  silence(): void {
    this.isSilent = true;
  }

  reset(): void {
    // Node forgets a socket that is to be reset while its end is being sent: it is never closed, and no process that has one ends.
    for (const end of this.#ends) {
      if (end.writableEnded) end.destroy();
      else end.resetAndDestroy();
    }
  }
}

/** One direction of a connection: bytes leave in the order in which they came, each as late as it was to be when it came. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delay: () => number;
  /** What is late, in order; undefined is the end. */
  readonly #late: { readonly due: number; readonly bytes: Buffer | undefined }[] = [];

  constructor(from: Socket, to: Socket, delay: () => number) {
    this.#from = from;
    this.#to = to;
    this.#delay = delay;
  }

  /** @param bytes undefined is the end. */
  carry(bytes: Buffer | undefined): void {
    const delay = this.#delay();
    if (delay === 0 && this.#late.length === 0) {
      this.#pass(bytes);
      return;
    }
    this.#late.push({ due: performance.now() + delay, bytes });
    if (this.#late.length === 1) this.#wait();
  }

  #wait(): void {
    setTimeout(() => {
      while (this.#late.length > 0 && this.#late[0]!.due <= performance.now()) this.#pass(this.#late.shift()!.bytes);
      if (this.#late.length > 0) this.#wait();
    }, Math.max(0, this.#late[0]!.due - performance.now()));
  }

  #pass(bytes: Buffer | undefined): void {
    if (this.#to.destroyed || this.#to.writableEnded) return;
    if (bytes === undefined) this.#to.end();
    else if (!this.#to.write(bytes)) {
      this.#from.pause();
      this.#to.once('drain', () => this.#from.resume());
    }
  }
}
