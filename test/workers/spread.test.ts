import { on } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { startPlainHaproxy } from '../support/haproxy.ts';
import { startNginxSite } from '../support/nginx.ts';
import { until } from '../support/until.ts';
import { byWorker, startWorkers } from '../support/workers.ts';

/** How evenly workers get what comes over kept connections, from clients and from a proxy. The system throws dice for each connection, and none for a request. */

const WORKERS = 2;
/** How many standard deviations the share of a worker may be off: one run in some hundred million is further off. */
const DEVIATIONS = 6;
/** So many connections that as many deviations are no more than 15 %. */
const CLIENTS = 1_600;
/** Connections that are opened at a time. */
const CONCURRENCY = 50;
/** Of each kind, through a proxy. */
const STREAMS = 200;
const PUBLISHERS = 200;
const REQUESTS = 800;
/** Requests of one connection, in a proxy that is told so. */
const REQUESTS_PER_CONNECTION = 4;

/** How many messages each worker took meanwhile. */
async function published(act: () => Promise<void>): Promise<readonly number[]> {
  const before = await byWorker(instance, 'tidings_messages_published_total');
  await act();
  const after = await byWorker(instance, 'tidings_messages_published_total');
  return [...after].map(([worker, count]) => count - before.get(worker)!);
}

/** How many streams each worker has, once there are so many. */
async function streams(count: number): Promise<readonly number[]> {
  let counts: readonly number[] = [];
  await until(`${count} streams are open`, async () => {
    counts = [...(await byWorker(instance, 'tidings_streams')).values()];
    return counts.reduce((sum, each) => sum + each, 0) === count;
  });
  return counts;
}

/** @param connections At least so many were made. @returns The largest difference of a worker to its share, in parts of that. */
function isEven(t: Test, counts: readonly number[], total: number, connections: number): number {
  const share = total / WORKERS;
  const off = Math.max(...counts.map((count) => Math.abs(count - share))) / share;
  t.equal(counts.reduce((sum, count) => sum + count, 0), total);
  t.ok(off <= DEVIATIONS * Math.sqrt((WORKERS - 1) / connections), `${counts.join(' and ')} over ${connections} connections`);
  return off;
}

/** Does something so often, some at a time. */
async function often(count: number, act: () => Promise<void>): Promise<void> {
  let left = count;
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, count) }, async () => {
    while (left-- > 0) await act();
  }));
}

/** A connection that is kept until the test is over. */
class Kept {
  readonly #socket: Socket;

  constructor(t: Test, url: string) {
    const { hostname, port } = new URL(url);
    this.#socket = connect(Number(port), hostname);
    t.teardown(() => this.#socket.destroy());
  }

  /** Resolves when there is an answer that begins so. */
  async ask(head: string, answer: string): Promise<void> {
    this.#socket.write(head);
    let text = '';
    for await (const [chunk] of on(this.#socket, 'data', { close: ['end', 'close'] })) {
      text += String(chunk);
      if (text.includes('\r\n\r\n')) break;
    }
    if (!text.startsWith(answer)) throw new Error(`${JSON.stringify(head)}: ${JSON.stringify(text)}`);
  }

  publish(): Promise<void> {
    return this.ask('POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx', 'HTTP/1.1 201 ');
  }

  open(): Promise<void> {
    return this.ask('GET /topics/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n', 'HTTP/1.1 200 ');
  }
}

const instance = await startWorkers(t, WORKERS, { MAX_STREAMS: '8000' });

t.test('clients that keep their connections are spread within 15 % of an even share', async (t) => {
  const counts = await published(() => often(CLIENTS, () => new Kept(t, instance.url).publish()));
  t.ok(isEven(t, counts, CLIENTS, CLIENTS) <= 0.15);
});

t.test('through HAProxy, where it keeps a connection for each client: streams, and publishers', async (t) => {
  const { url } = await startPlainHaproxy(t, instance.port, ['http-reuse never', 'option http-no-delay']);
  await streams(0);
  await often(STREAMS, () => new Kept(t, url).open());
  isEven(t, await streams(STREAMS), STREAMS, STREAMS);
  isEven(t, await published(() => often(PUBLISHERS, () => new Kept(t, url).publish())), PUBLISHERS, PUBLISHERS);
});

t.test('through nginx, which keeps few connections: streams, and requests where it changes connections', async (t) => {
  const { url } = await startNginxSite(t, `
    upstream tidings { server 127.0.0.1:${instance.port}; keepalive 8; keepalive_requests ${REQUESTS_PER_CONNECTION}; }
    server { location / { proxy_pass http://tidings; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_buffering off; } }
  `);
  await streams(0);
  await often(STREAMS, () => new Kept(t, url).open());
  isEven(t, await streams(STREAMS), STREAMS, STREAMS);
  const clients = Array.from({ length: CONCURRENCY }, () => new Kept(t, url));
  const counts = await published(() => often(REQUESTS, async () => {
    const client = clients.pop()!;
    await client.publish();
    clients.push(client);
  }));
  isEven(t, counts, REQUESTS, REQUESTS / REQUESTS_PER_CONNECTION);
});
