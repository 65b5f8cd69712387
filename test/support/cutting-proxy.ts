import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { listening } from './listening.ts';
import type { Scope } from './temp.ts';

/** Where a stream is cut: after so many bytes of its head, or of its body (chunk framing included). */
export interface Cut {
  readonly part: 'head' | 'body';
  readonly bytes: number;
}

/**
 * What a load balancer does that has no server left: it closes connections as soon as it has accepted them, or it answers
 * every request with 502.
 */
export type Absence = 'closing' | 'answering 502';

const BAD_GATEWAY = 'HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

/** The answer to one GET, as far as it came. */
export interface Passage {
  head: Buffer;
  body: Buffer;
  /** Nothing more of it will pass, for whatever reason. */
  over: boolean;
}

const HEAD_END = '\r\n\r\n';

/**
 * A TCP proxy on a free port of 127.0.0.1, in front of a server of 127.0.0.1. It cuts answers to GET after an exact number
 * of bytes; everything else passes as it is. What a client was sent before a cut is what it gets: the end comes as FIN,
 * after those bytes.
 */
export class CuttingProxy {
  /** One for each GET that was answered, in the order in which their answers began. */
  readonly passages: Passage[] = [];
  /** How many connections were for nothing, because the server was away. */
  turnedAway = 0;
  #absence: Absence | undefined;
  readonly #target: number;
  readonly #cuts: Cut[];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number, cuts: readonly Cut[]) {
    this.#target = target;
    this.#cuts = [...cuts];
    this.#server = createServer((client) => this.#accept(client));
  }

  /** @param cuts For the first answers, in order, one each; those after them are not cut. */
  static async start(t: Scope, target: number, cuts: readonly Cut[] = []): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, cuts);
    await listening(proxy.#server);
    t.teardown(() => proxy.close());
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts every connection and turns new ones away, until `comeBack`. */
  goAway(absence: Absence): void {
    this.#absence = absence;
    this.#cutAll();
  }

  comeBack(): void {
    this.#absence = undefined;
  }

  async close(): Promise<void> {
    this.#cutAll();
    if (!this.#server.listening) return;
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #turnAway(client: Socket, absence: Absence): void {
    this.turnedAway++;
    client.on('error', () => client.destroy());
    if (absence === 'closing') client.destroy();
    else client.once('data', () => client.end(BAD_GATEWAY));
  }

  #accept(client: Socket): void {
    if (this.#absence !== undefined) {
      this.#turnAway(client, this.#absence);
      return;
    }
    const upstream = connect(this.#target, '127.0.0.1');
    let passage: Passage | undefined;
    let cut: Cut | undefined;
    for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
      this.#sockets.add(socket);
      // A connection that breaks is what this is for; what follows from it is done on `close`.
      socket.on('error', () => other.destroySoon());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (passage !== undefined) passage.over = true;
        other.destroySoon();
      });
    }
    client.on('data', (bytes) => {
      // These clients send a request in one piece and none before they have the answer to the last.
      if (bytes.toString('latin1', 0, 4) === 'GET ') {
        passage = { head: Buffer.alloc(0), body: Buffer.alloc(0), over: false };
        cut = undefined;
      } else if (!isRest(bytes)) passage = undefined;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (passage === undefined) {
        client.write(bytes);
        return;
      }
      if (passage.over) return;
      if (passage.head.length === 0) {
        this.passages.push(passage);
        cut = this.#cuts.shift();
      }
      const before = passage.head.length + passage.body.length;
      record(passage, bytes);
      const allowed = end(passage, cut);
      if (allowed === undefined || allowed > before + bytes.length) {
        client.write(bytes);
        return;
      }
      passage.over = true;
      client.end(bytes.subarray(0, allowed - before));
      upstream.destroy();
    });
  }
}

/** Whether these bytes go on with a request, rather than begin one. */
function isRest(bytes: Buffer): boolean {
  return !/^[A-Z]{3,7} \//.test(bytes.toString('latin1', 0, 16));
}

function record(passage: Passage, bytes: Buffer): void {
  if (passage.body.length > 0) {
    passage.body = Buffer.concat([passage.body, bytes]);
    return;
  }
  const all = Buffer.concat([passage.head, bytes]);
  const headEnd = all.indexOf(HEAD_END);
  const length = headEnd === -1 ? all.length : headEnd + HEAD_END.length;
  passage.head = all.subarray(0, length);
  passage.body = all.subarray(length);
}

/** After how many bytes of an answer it is cut; undefined is not, or not yet known. */
function end({ head }: Passage, cut: Cut | undefined): number | undefined {
  if (cut === undefined) return undefined;
  if (cut.part === 'head') return cut.bytes;
  return head.subarray(-HEAD_END.length).equals(Buffer.from(HEAD_END)) ? head.length + cut.bytes : undefined;
}
