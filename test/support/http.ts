import { Agent, request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import type { Scope } from './temp.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One message of a batch as it is sent. */
export interface BatchEntry {
  readonly topic: string;
  readonly data: unknown;
  readonly event?: string;
  readonly ttl?: number;
}

/** Requests to one instance over kept connections, which are closed when the test is over. */
export class Http {
  readonly url: string;
  readonly #agent: Agent;
  readonly #timeout: number | undefined;

  /** @param timeout After so many milliseconds of silence a request counts as failed; without it, it waits. */
  constructor(t: Scope, url: string, connections = 16, timeout?: number) {
    this.url = url;
    this.#timeout = timeout;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
    t.teardown(() => this.#agent.destroy());
  }

  /** Rejects when the connection fails; resolves with whatever was answered. */
  send(method: string, path: string, headers: OutgoingHttpHeaders = {}, body: string | Buffer = ''): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(this.url + path, { method, headers, agent: this.#agent }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => void parts.push(part));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts).toString() }));
      });
      if (this.#timeout !== undefined) outgoing.setTimeout(this.#timeout, () => outgoing.destroy(new Error(`no answer for ${this.#timeout} ms`)));
      // Without this, Node sends a body of GET, DELETE or OPTIONS without its length: it would be the head of the next request.
      if (body.length > 0) outgoing.useChunkedEncodingByDefault = true;
      outgoing.on('error', reject).end(body);
    });
  }

  get(path: string, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.send('GET', path, headers);
  }

  /** The JSON of a GET that is answered with 200. */
  async json<T>(path: string): Promise<T> {
    const { status, body } = await this.get(path);
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${body}`);
    return JSON.parse(body) as T;
  }

  /** Publishes text, whatever becomes of it. */
  post(topic: string, data: string | Buffer, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.send('POST', `/topics/${encodeURIComponent(topic)}`, { 'content-type': 'text/plain', ...headers }, data);
  }

  /** Publishes text that is stored; answers with its id. */
  async publish(topic: string, data: string | Buffer, headers: OutgoingHttpHeaders = {}): Promise<string> {
    const { status, body } = await this.post(topic, data, headers);
    if (status !== 201) throw new Error(`POST ${topic}: ${status} ${body}`);
    return (JSON.parse(body) as { id: string }).id;
  }

  /** Publishes a batch that is stored; answers with the ids. */
  async batch(messages: readonly BatchEntry[]): Promise<string[]> {
    const { status, body } = await this.send('POST', '/messages', { 'content-type': 'application/json' }, JSON.stringify(messages));
    if (status !== 201) throw new Error(`POST /messages: ${status} ${body}`);
    return (JSON.parse(body) as { messages: { id: string }[] }).messages.map(({ id }) => id);
  }

  /** What GET /metrics shows, by name and labels as they stand there. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const { body } = await this.get('/metrics');
    return new Map(body.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }));
  }

  /** One metric, without the `tidings_` of its name. */
  async metric(name: string): Promise<number> {
    const value = (await this.metrics()).get(`tidings_${name}`);
    if (value === undefined) throw new Error(`There is no metric ${name}`);
    return value;
  }
}

/** The number in an id. Clients must not look inside; tests may. */
export function seqOf(id: string | undefined): number {
  const seq = Number(id?.split('-')[1]);
  if (!Number.isSafeInteger(seq)) throw new Error(`No id: ${id}`);
  return seq;
}

/** Runs `task` for 0 to `count` - 1, so many at once. */
export async function each(count: number, atOnce: number, task: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}
