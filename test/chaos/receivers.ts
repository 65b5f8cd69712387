import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/fleet-random.ts';
import type { Http } from '../support/http.ts';
import { listening } from '../support/listening.ts';
import { hasConnection } from '../support/socket-owner.ts';
import type { Scope } from '../support/temp.ts';
import type { Delivered, ReceiverRecord } from '../support/webhook-checker.ts';

/** How a receiver treats deliveries. Each answers most of them well, so that its webhook goes on. */
const MANNERS = ['answers at once', 'fails', 'answers slowly', 'hangs', 'closes connections'] as const;
type Manner = (typeof MANNERS)[number];

/** One delivery in so many is treated badly, where the receiver does so at all. */
const BAD_SHARE = 3;
/** The longest that a slow receiver takes: longer than the service waits. */
const SLOW_MS = 3_000;
/** One webhook in so many asks for everything, the others for a topic or a pattern. */
const EVERYTHING_SHARE = 5;
/** How often it is looked whether the last delivery was taken. */
const TAKEN_LOOK_MS = 50;

interface Hold {
  readonly pid: number;
  readonly caught: PromiseWithResolvers<(() => void) | undefined>;
}

/** The receivers of webhooks: each on a port of its own, so that each is a host of its own to the service. They write down each delivery, and whether they took it. */
export class Receivers {
  readonly #t: Scope;
  readonly #random: Random;
  readonly #receivers: Receiver[] = [];
  readonly #holds = new Set<Hold>();
  #isCalm = false;

  constructor(t: Scope, random: Random) {
    this.#t = t;
    this.#random = random;
  }

  /** Makes so many webhooks. @param http An instance. @param headers The credential of an administrator. @param topics What a webhook may ask for, beside everything. */
  async open(http: Http, headers: Readonly<Record<string, string>>, count: number, topics: readonly string[]): Promise<void> {
    for (let index = 0; index < count; index++) {
      const wants = index % EVERYTHING_SHARE === 0 ? ['>'] : [this.#random.one(topics)];
      const manner = MANNERS[index % MANNERS.length]!;
      const receiver = new Receiver(wants, (response, port) => this.#treat(response, { manner, port, server: receiver.port }));
      await receiver.start(this.#t);
      const answer = await http.send('POST', '/webhooks', { ...headers, 'content-type': 'application/json' }, JSON.stringify({ url: `http://127.0.0.1:${receiver.port}/`, topics: wants }));
      if (answer.status !== 201) throw new Error(`POST /webhooks: ${answer.status} ${answer.body}`);
      receiver.begin(`webhook ${index} (${wants.join(' ')}; its receiver ${manner})`, (JSON.parse(answer.body) as { readonly cursor: string }).cursor);
      this.#receivers.push(receiver);
    }
  }

  get hasAny(): boolean {
    return this.#receivers.length > 0;
  }

  get records(): ReceiverRecord[] {
    return this.#receivers.map(({ record }) => record);
  }

  /** From now on all deliveries are taken at once. */
  calm(): void {
    this.#isCalm = true;
  }

  /** Waits until each receiver has taken these ids, or none was taken for so long: then the checker says what is missing. */
  async taken(awaited: readonly ReadonlySet<string>[], limitMs: number): Promise<void> {
    let left = Infinity;
    let end = 0;
    for (;;) {
      const now = this.#receivers.reduce((sum, { taken }, index) => sum + [...awaited[index]!].filter((id) => !taken.has(id)).length, 0);
      // A busy machine may take long for all of them.
      if (now < left) end = performance.now() + limitMs;
      if (now === 0 || performance.now() >= end) return;
      left = now;
      await sleep(TAKEN_LOOK_MS);
    }
  }

  /**
   * Waits until a delivery of a process is here, and answers it only when what this resolves with is called.
   * @returns undefined where none came in time: the process may be cut off.
   */
  async hold(pid: number, limitMs: number): Promise<(() => void) | undefined> {
    const hold: Hold = { pid, caught: Promise.withResolvers() };
    this.#holds.add(hold);
    const timer = setTimeout(() => hold.caught.resolve(undefined), limitMs);
    const release = await hold.caught.promise;
    clearTimeout(timer);
    this.#holds.delete(hold);
    return release;
  }

  /** @returns Whether it is taken, once that is known. Then it was answered. */
  async #treat(response: ServerResponse, { manner, port, server }: { readonly manner: Manner; readonly port: number; readonly server: number }): Promise<boolean> {
    for (const hold of this.#holds) {
      if (!hasConnection(hold.pid, { localPort: port, remotePort: server })) continue;
      this.#holds.delete(hold);
      const { promise, resolve } = Promise.withResolvers<void>();
      hold.caught.resolve(resolve);
      await promise;
      return take(response);
    }
    if (this.#isCalm || this.#random.below(BAD_SHARE) > 0) return take(response);
    switch (manner) {
      case 'answers at once': return take(response);
      case 'fails':
        response.writeHead(this.#random.below(2) === 0 ? 500 : 503).end();
        return false;
      case 'answers slowly':
        await sleep(this.#random.below(SLOW_MS), undefined, { ref: false });
        return take(response);
      case 'hangs': return false;
      case 'closes connections':
        response.destroy();
        return false;
    }
  }
}

function take(response: ServerResponse): boolean {
  response.writeHead(204).end();
  return true;
}

type Treating = (response: ServerResponse, port: number) => Promise<boolean>;

class Receiver {
  readonly taken = new Set<string>();
  readonly #wants: readonly string[];
  readonly #treat: Treating;
  readonly #entries: Delivered[] = [];
  readonly #server: Server;
  #name = '';
  #cursor = '';

  constructor(wants: readonly string[], treat: Treating) {
    this.#wants = wants;
    this.#treat = treat;
    this.#server = createServer((request, response) => void this.#receive(request, response));
  }

  async start(t: Scope): Promise<void> {
    await listening(this.#server);
    t.teardown(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
  }

  begin(name: string, cursor: string): void {
    this.#name = name;
    this.#cursor = cursor;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get record(): ReceiverRecord {
    return { name: this.#name, wants: this.#wants, cursor: this.#cursor, entries: this.#entries };
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // The sender may be killed at any moment.
    response.on('error', () => undefined);
    const port = request.socket.remotePort ?? 0;
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      // A request that did not come whole is no delivery.
      return;
    }
    const entry = readDelivery(String(request.headers['webhook-id']), Buffer.concat(parts).toString());
    const index = this.#entries.push(entry) - 1;
    const isTaken = await this.#treat(response, port);
    if (!isTaken) return;
    this.#entries[index] = { ...entry, takenAt: performance.now() };
    this.taken.add(entry.id);
  }
}

interface Body {
  readonly id: string;
  readonly topic?: string;
  readonly event: string;
  readonly data: unknown;
}

/** A message has the id that the header says. A gap has one of its own, and names the place where the webhook goes on. */
function readDelivery(id: string, text: string): Delivered {
  const at = performance.now();
  const body = JSON.parse(text) as Body;
  if (body.id !== id) throw new Error(`webhook-id: ${id}, and in the body ${body.id}`);
  if (body.topic !== undefined) return { kind: 'message', id, topic: body.topic, text: typeof body.data === 'string' ? body.data : JSON.stringify(body.data), at };
  const { requested, resumed, reason } = body.data as { readonly requested: string | null; readonly resumed: string; readonly reason: string };
  return { kind: 'gap', id: resumed, requested, reason, at };
}
