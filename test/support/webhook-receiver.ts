import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Scope } from './temp.ts';

/** A delivery as its receiver got it. */
export interface Received {
  readonly id: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers a delivery, or keeps it waiting. */
export type Answering = (received: Received, response: ServerResponse) => void;

const TAKE: Answering = (_received, response) => void response.writeHead(204).end();

/** A receiver of webhooks: what it got, in the order in which the bodies were whole. */
export class WebhookReceiver {
  readonly received: Received[] = [];
  /** By the path. What no path says is taken. */
  readonly answers = new Map<string, Answering>();
  readonly #server = createServer((request, response) => void this.#take(request, response));

  static async start(t: Scope, host = '127.0.0.1'): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    receiver.#server.listen(0, host);
    await once(receiver.#server, 'listening');
    t.teardown(() => new Promise<void>((done) => {
      receiver.#server.close(() => done());
      receiver.#server.closeAllConnections();
    }));
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What one path got. */
  at(path: string): readonly Received[] {
    return this.received.filter((one) => one.path === path);
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    // The sender may be killed in the middle.
    response.on('error', () => undefined);
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return;
    }
    const headers = request.headers as Record<string, string>;
    const received = { id: headers['webhook-id'] ?? '', path: request.url!, headers, body: Buffer.concat(parts).toString() };
    this.received.push(received);
    (this.answers.get(received.path) ?? TAKE)(received, response);
  }
}

/** What is wrong with what a receiver got: something lost, out of order, or doubled under another id. The ids are those that were published, in the order of the log. */
export function wrongDeliveries(got: readonly Received[], ids: readonly string[]): string[] {
  const firsts = [...new Set(got.map(({ id }) => id))];
  const lost = ids.filter((id) => !firsts.includes(id)).map((id) => `${id} is lost`);
  const foreign = firsts.filter((id) => !ids.includes(id)).map((id) => `${id} was not published`);
  const order = ids.filter((id) => firsts.includes(id));
  const moved = firsts.filter((id) => ids.includes(id)).flatMap((id, index) => order[index] === id ? [] : [`${id} came where ${order[index]} belongs`]);
  const bodies = new Map<string, string>();
  const changed = got.flatMap(({ id, body }) => {
    const other = bodies.get(body);
    bodies.set(body, id);
    return other !== undefined && other !== id ? [`${id} came again as ${other}`] : [];
  });
  return [...lost, ...foreign, ...moved, ...changed];
}
