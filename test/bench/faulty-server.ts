import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Target } from '../../bench/load/protocol.ts';
import { listening } from '../support/listening.ts';
import { freePort } from '../support/ports.ts';
import type { Scope } from '../support/temp.ts';

export interface Message {
  /** Its place in the log, from 1. */
  readonly seq: number;
  readonly topic: string;
  readonly data: string;
}

export interface Stream {
  /** In the order in which they were opened, from 0. */
  readonly number: number;
  readonly topic: string;
  readonly request: IncomingMessage;
  /** Writes the message's event, as one chunk. */
  write(message: Message): void;
  end(): void;
}

/** What goes wrong; nothing, where nothing is said. */
export interface Faults {
  /** Instead of writing the message to the stream, once. */
  deliver?(stream: Stream, message: Message): void;
  /** The status of a publish, of which there were so many before; nothing but 201 is stored. */
  status?(before: number): number;
  /** Called before a request to publish is answered. */
  published?(message: Message): Promise<void> | void;
  /** Where a stream begins that wants everything after a place. */
  resume?(after: number): number;
  /** Whether a stream is sent away for a while; so many were asked for before. */
  isBusy?(before: number): boolean;
}

const EPOCH = 'benchtest0';
/** When a stream that was sent away shall come back. */
export const BUSY_MS = 40;

/** Speaks as much of Tidings' language as the load generator does, holds its log in memory, and breaks every promise that it is told to. */
export class FaultyServer {
  readonly messages: Message[] = [];
  readonly streams = new Set<Stream>();
  /** Of publishes, as they came. */
  readonly requests: { readonly path: string; readonly key: string | undefined; readonly body: string; readonly socket: Socket }[] = [];
  /** `Last-Event-ID` of every request for a stream, in order. */
  readonly resumed: (string | undefined)[] = [];
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #faults: Faults;
  #opened = 0;

  private constructor(faults: Faults) {
    this.#faults = faults;
  }

  static async start(t: Scope, faults: Faults = {}): Promise<FaultyServer> {
    const server = new FaultyServer(faults);
    t.teardown(() => server.stop());
    await server.listen(await freePort());
    return server;
  }

  get target(): Target {
    return { wire: 'tidings', ports: [(this.#server.address() as AddressInfo).port] };
  }

  async listen(port: number): Promise<void> {
    await listening(this.#server, port);
  }

  /** Closes its port and cuts every connection, at once. */
  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://127.0.0.1');
    const topic = decodeURIComponent(url.pathname.split('/')[2] ?? '');
    if (request.method === 'GET') this.#open(topic, url, request, response);
    else await this.#publish(url.pathname, topic, request, response);
  }

  #open(topic: string, url: URL, request: IncomingMessage, response: ServerResponse): void {
    const lastId = request.headers['last-event-id'] as string | undefined;
    this.resumed.push(lastId);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (this.#faults.isBusy?.(this.resumed.length - 1) === true) {
      response.end(`event: $busy\nretry: ${BUSY_MS}\ndata: {}\n\n`);
      return;
    }
    const wanted = lastId === undefined ? url.searchParams.get('after') === 'start' ? 0 : this.messages.length : Number(lastId.split('-')[1]);
    const after = lastId === undefined ? wanted : this.#faults.resume?.(wanted) ?? wanted;
    response.write(`event: $open\nretry: 1000\ndata: {"cursor":"${EPOCH}-${after}"}\nid: ${EPOCH}-${after}\n\n`);
    const stream: Stream = {
      number: this.#opened++, topic, request,
      write: ({ data, seq }) => void response.write(`data: ${data}\nid: ${EPOCH}-${seq}\n\n`),
      // What was written before goes out first.
      end: () => {
        this.streams.delete(stream);
        request.socket.destroySoon();
      },
    };
    this.streams.add(stream);
    response.once('close', () => this.streams.delete(stream));
    for (const message of this.messages.slice(after)) if (message.topic === topic) this.#deliver(stream, message);
  }

  async #publish(path: string, topic: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const before = this.requests.length;
    // Counted when it comes, not when its body is there: so requests keep their order.
    const status = this.#faults.status?.(before) ?? 201;
    const entry = { path, key: request.headers['idempotency-key'] as string | undefined, body: '', socket: request.socket };
    this.requests.push(entry);
    entry.body = await text(request);
    if (status === 201) {
      const lines = path === '/messages' ? entry.body.trimEnd().split('\n').map((line) => JSON.parse(line) as { topic: string; data: unknown }) : [{ topic, data: JSON.parse(entry.body) as unknown }];
      for (const line of lines) await this.#store(line.topic, JSON.stringify(line.data));
    }
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
  }

  async #store(topic: string, data: string): Promise<void> {
    const message: Message = { seq: this.messages.length + 1, topic, data };
    this.messages.push(message);
    for (const stream of this.streams) if (stream.topic === topic) this.#deliver(stream, message);
    await this.#faults.published?.(message);
  }

  #deliver(stream: Stream, message: Message): void {
    if (this.#faults.deliver === undefined) stream.write(message);
    else this.#faults.deliver(stream, message);
  }
}
