import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { Scope } from './temp.ts';

/** Stops a wait for an event that never comes long before tap's own limit, so that the failure tells what did come. Milliseconds. */
const WAIT_LIMIT = 120_000;

export interface StreamOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  /** Sees the bytes of the body as they come, before the parser does. */
  readonly onData?: (chunk: Buffer) => void;
}

/**
 * The client's end of one SSE connection, parsed by eventsource-parser, which we did not write. It neither reconnects nor
 * keeps a cursor: what came in is what is there.
 */
export class SseStream implements AsyncIterable<EventSourceMessage> {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Every event since the beginning, also those that `next` has handed out. */
  readonly events: EventSourceMessage[] = [];
  readonly comments: string[] = [];
  /** What the parser found wrong with the stream; empty unless the server broke the format. */
  readonly faults: Error[] = [];
  retry: number | undefined;
  /** The body as text, for answers that are no stream. */
  body = '';
  /** Bytes of the body so far. */
  bytes = 0;
  /** Resolves when the connection is over; `clean` when the server ended the body properly (its last chunk). */
  readonly ended: Promise<{ clean: boolean }>;
  readonly #response: IncomingMessage;
  #handedOut = 0;
  #over = false;
  #waiting: (() => void)[] = [];

  constructor(response: IncomingMessage) {
    this.#response = response;
    this.status = response.statusCode!;
    this.headers = response.headers;
    const decoder = new TextDecoder();
    const parser = createParser({
      onEvent: (event) => void this.events.push(event),
      onComment: (comment) => void this.comments.push(comment),
      onRetry: (retry) => {
        this.retry = retry;
      },
      onError: (error) => void this.faults.push(error),
    });
    response.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      const text = decoder.decode(chunk, { stream: true });
      if (response.headers['content-type']?.startsWith('text/event-stream') === true) parser.feed(text);
      else this.body += text;
      this.#notify();
    });
    // A connection that is cut is an ordinary end here: `clean` tells.
    response.on('error', () => this.#notify());
    this.ended = new Promise((resolve) => {
      response.once('close', () => {
        this.#over = true;
        resolve({ clean: response.complete });
        this.#notify();
      });
    });
  }

  /** The next event that matches, in order; those before it are passed over. Rejects when the stream ends first. */
  async next(matches: (event: EventSourceMessage) => boolean = () => true): Promise<EventSourceMessage> {
    const limit = Date.now() + WAIT_LIMIT;
    for (;;) {
      while (this.#handedOut < this.events.length) {
        const event = this.events[this.#handedOut++]!;
        if (matches(event)) return event;
      }
      if (this.#over) throw new Error(`The stream ended. ${this.#summary()}`);
      await this.#change(limit);
    }
  }

  /** Waits until something holds that depends on what came in: `until(() => stream.comments.length > 1)`. */
  async until(holds: () => boolean): Promise<void> {
    const limit = Date.now() + WAIT_LIMIT;
    while (!holds()) {
      if (this.#over) throw new Error(`The stream ended. ${this.#summary()}`);
      await this.#change(limit);
    }
  }

  /** Every event from here to the end of the stream. */
  async* [Symbol.asyncIterator](): AsyncGenerator<EventSourceMessage> {
    for (;;) {
      while (this.#handedOut < this.events.length) yield this.events[this.#handedOut++]!;
      if (this.#over) return;
      await this.#change(Date.now() + WAIT_LIMIT);
    }
  }

  /** Stops reading from the socket, so that the server's side of it fills up. */
  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  destroy(): void {
    this.#response.destroy();
  }

  async #change(limit: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Nothing more came. ${this.#summary()}`)), Math.max(0, limit - Date.now()));
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #summary(): string {
    return `Status ${this.status}, ${this.events.length} events, the last ones: ${JSON.stringify(this.events.slice(-5))}${this.body}`;
  }
}

/** Opens a stream on a connection of its own and resolves when the answer's head is there. Cut when the test is over. */
export function openStream(t: Scope, url: string, options: StreamOptions = {}): Promise<SseStream> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: options.method ?? 'GET',
      agent: false,
      headers: { accept: 'text/event-stream', ...options.headers },
    }, (response) => {
      if (options.onData !== undefined) response.on('data', options.onData);
      resolve(new SseStream(response));
    });
    outgoing.on('error', reject).end();
    t.teardown(() => outgoing.destroy());
  });
}
