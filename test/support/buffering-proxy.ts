import { createServer, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { listening } from './listening.ts';
import type { Scope } from './temp.ts';

/** A proxy as some companies have: it passes an answer on once it has all of it, so of a stream nothing arrives. */
export class BufferingProxy {
  isBuffering = true;
  /** The requests that have come: their paths. */
  readonly asked: string[] = [];
  readonly #target: number;
  #port = 0;

  private constructor(target: number) {
    this.#target = target;
  }

  /** @param target The port of a server on 127.0.0.1. */
  static async start(t: Scope, target: number): Promise<BufferingProxy> {
    const proxy = new BufferingProxy(target);
    const server = createServer((incoming, response) => {
      proxy.asked.push(incoming.url!);
      const outgoing = request({ port: proxy.#target, host: '127.0.0.1', path: incoming.url, method: incoming.method, headers: incoming.headers }, (answer) => {
        const head = (): void => void response.writeHead(answer.statusCode!, answer.headers);
        if (proxy.isBuffering) {
          buffer(answer).then((body) => {
            head();
            response.end(body);
          }, () => response.destroy());
        } else {
          head();
          answer.pipe(response);
          answer.on('error', () => response.destroy());
        }
      });
      outgoing.on('error', () => response.destroy());
      response.on('close', () => outgoing.destroy());
      incoming.pipe(outgoing);
    });
    proxy.#port = await listening(server);
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }
}
