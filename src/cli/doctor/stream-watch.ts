import type { ClientRequest } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { createParser, type EventSourceParser } from 'eventsource-parser';
import { credentials, failureOf, headersOf, isEventStream, start, timedOut, withoutToken, type Failure, type Target } from './exchange.ts';

/** Stops a stream that sends without a pause from filling the memory with times and events. */
const ARRIVALS_MAX_ENTRIES = 1_000;
/** Stops an event without an end from filling the memory. */
const EVENT_MAX_CHARACTERS = 1024 * 1024;
/** The kept beginning of an answer that is no stream, which people see. */
const BODY_MAX_CHARACTERS = 1_000;

/** The `Accept-Encoding` of browsers. */
const ENCODINGS = 'gzip, deflate, br, zstd';

export interface SeenEvent {
  readonly name: string;
  readonly id: string | undefined;
  /** By `performance.now()`. */
  readonly at: number;
}

/** Observations of a stream. Times are of `performance.now()`, in milliseconds. */
export interface StreamSeen {
  readonly began: number;
  readonly failure: Failure | undefined;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly headAt: number | undefined;
  /** The beginning of an answer that is no stream. */
  readonly body: string;
  readonly events: readonly SeenEvent[];
  /** When bytes came, after decompression. */
  readonly arrivals: readonly number[];
  readonly end: { readonly at: number; readonly isClean: boolean } | undefined;
}

/** Opens a stream as an EventSource does, and records events and the times of bytes. It never reconnects. */
export class StreamWatch implements StreamSeen {
  readonly began = performance.now();
  readonly events: SeenEvent[] = [];
  readonly arrivals: number[] = [];
  failure: Failure | undefined;
  status: number | undefined;
  headers: Readonly<Record<string, string>> = {};
  headAt: number | undefined;
  body = '';
  end: { readonly at: number; readonly isClean: boolean } | undefined;
  readonly #target: Target;
  #isStopped = false;
  readonly #request: ClientRequest;
  #waiting: (() => void)[] = [];

  constructor(target: Target, path: string, headers: Readonly<Record<string, string>> = {}) {
    this.#target = target;
    const origin: Readonly<Record<string, string>> = target.origin === undefined ? {} : { origin: target.origin };
    this.#request = start(target, { path, headers: { accept: 'text/event-stream', 'cache-control': 'no-cache', 'accept-encoding': ENCODINGS, ...origin, ...credentials(target), ...headers } }, (response) => {
      this.status = response.statusCode;
      this.headers = headersOf(response, target);
      this.headAt = performance.now();
      const isStream = isEventStream(this.headers['content-type']);
      const parser = createParser({ maxBufferSize: EVENT_MAX_CHARACTERS, onEvent: ({ event, id }) => this.#saw(event ?? 'message', id), onError: ({ type }) => this.#stopAt(type) });
      const decoder = new TextDecoder();
      const content: Readable = decompressed(response, this.headers['content-encoding']);
      content.on('data', (part: Buffer) => this.#took(decoder.decode(part, { stream: true }), isStream ? parser : undefined));
      const ended = (isClean: boolean) => (): void => {
        this.end ??= { at: performance.now(), isClean };
        this.#notify();
      };
      content.on('error', ended(false));
      response.on('error', ended(false)).on('end', ended(true));
      this.#notify();
    });
    this.#request.on('error', (error) => {
      if (this.status === undefined) this.failure ??= failureOf(error);
      this.#notify();
    });
    this.#request.end();
  }

  /** Ends a stream whose event exceeds the bound. The parser accepts nothing after that. */
  #stopAt(type: string): void {
    if (type !== 'max-buffer-size-exceeded') return;
    this.#isStopped = true;
    this.#request.destroy();
  }

  #saw(name: string, id: string | undefined): void {
    if (this.events.length < ARRIVALS_MAX_ENTRIES) this.events.push({ name, id, at: performance.now() });
  }

  #took(text: string, parser: EventSourceParser | undefined): void {
    if (this.arrivals.length < ARRIVALS_MAX_ENTRIES) this.arrivals.push(performance.now());
    if (parser === undefined) this.body = (this.body + text).slice(0, BODY_MAX_CHARACTERS);
    else if (!this.#isStopped) parser.feed(text);
    this.#notify();
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  get isOver(): boolean {
    return this.failure !== undefined || this.end !== undefined;
  }

  /** Waits until a condition holds, the stream is over, or the time is up. */
  async when(holds: () => boolean, milliseconds: number): Promise<boolean> {
    const limit = performance.now() + milliseconds;
    for (;;) {
      if (holds()) return true;
      const left = limit - performance.now();
      if (left <= 0 || this.isOver) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Waits for the first event: the service sends it at once. */
  async opened(milliseconds: number): Promise<boolean> {
    const isOpen = await this.when(() => this.events.length > 0, milliseconds);
    if (!isOpen && !this.isOver && this.status === undefined) this.failure = timedOut(milliseconds);
    return isOpen;
  }

  /** Closes the connection. The observations stay. */
  close(): StreamSeen {
    const { began, failure, status, headers, headAt, body, end } = this;
    const seen = { began, failure, status, headers, headAt, body: withoutToken(body, this.#target), events: [...this.events], arrivals: [...this.arrivals], end };
    this.#request.destroy();
    return seen;
  }
}

/** Decompresses what has arrived, without waiting for a whole block. */
function decompressed(response: Readable, encoding = ''): Readable {
  switch (encoding.toLowerCase()) {
    case 'gzip': case 'x-gzip': return response.pipe(createGunzip());
    case 'deflate': return response.pipe(createInflate());
    case 'br': return response.pipe(createBrotliDecompress());
    case 'zstd': return response.pipe(createZstdDecompress());
    default: return response;
  }
}
