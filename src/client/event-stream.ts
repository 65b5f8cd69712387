import type { Erased, Gap, Message } from './api.ts';
import { frames } from './frames.ts';
import { Passing, TidingsError, type Requests } from './requests.ts';
import { pause, pauseAfter } from './waiting.ts';

/** What the stream is doing. `opening`: an attempt is under way, or due after an orderly end. `failing`: the last attempt failed, and the next is due. */
export type StreamState = 'idle' | 'opening' | 'open' | 'failing' | 'denied';

export interface StreamListener {
  /** The topics and patterns that are wanted now. */
  wanted(): string[];
  /** From this place on the stream tells what comes for these topics. */
  began(topics: readonly string[], cursor: string): void;
  message(message: Message): void;
  gap(gap: Gap): void;
  erased(erased: Erased): void;
  /** The place has changed, and there is no message. */
  moved(): void;
  /** The service refuses a topic; without one, everything. */
  refused(error: TidingsError, topic?: string): void;
  stateChanged(): void;
}

/** By what the service knows the stream. */
interface StreamHandle {
  readonly id: string;
  readonly secret: string;
}

export interface EventStreamDependencies {
  readonly requests: Requests;
  readonly listener: StreamListener;
  /** Milliseconds. */
  readonly staleAfter: number;
  /** Whether a token can be asked for. */
  readonly hasTokens: boolean;
}

/** The first reconnection time; the service says its own. Milliseconds. */
const RETRY_MS = 1_000;

/** One stream for all subscriptions. It comes back after any end, from the place that it has reached. */
export class EventStream {
  readonly #requests: Requests;
  readonly #listener: StreamListener;
  readonly #staleAfter: number;
  readonly #hasTokens: boolean;
  #state: StreamState = 'idle';
  #cursor: string | undefined;
  #retryMs = RETRY_MS;
  /** Ends the attempt, or the pause, that is under way: the next one begins at once. */
  #attempt = new AbortController();
  #heard = 0;
  #handle: StreamHandle | undefined;
  #failures = 0;
  #isRunning = false;
  #isClosed = false;

  constructor({ requests, listener, staleAfter, hasTokens }: EventStreamDependencies) {
    this.#requests = requests;
    this.#listener = listener;
    this.#staleAfter = staleAfter;
    this.#hasTokens = hasTokens;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** The place that the stream has reached; undefined before it has begun. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** Connects anew: what is wanted has changed, or the connection may be dead. A refusal is forgotten. */
  restart(): void {
    this.#attempt.abort();
    if (this.#isClosed || this.#isRunning) return;
    this.#isRunning = true;
    void this.#run().finally(() => {
      this.#isRunning = false;
    });
  }

  /** A page is back. It connects anew where its network has changed, no connection is open, or the one that is has been silent for half as long as makes it stale. */
  look(isOnline: boolean): void {
    if (this.#isRunning && (isOnline || this.#state !== 'open' || Date.now() - this.#heard > this.#staleAfter / 2)) this.restart();
  }

  /** Forgets the place: the next beginning is now. */
  forget(): void {
    this.#cursor = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#attempt.abort();
  }

  /** Ends when nothing is wanted, or everything is refused. */
  async #run(): Promise<void> {
    for (;;) {
      this.#attempt = new AbortController();
      const { signal } = this.#attempt;
      // What is subscribed to in the same turn goes into one request.
      await Promise.resolve();
      const topics = this.#isClosed ? [] : this.#listener.wanted();
      if (topics.length === 0) return this.#become('idle');
      const wait = await this.#read(topics, signal);
      if (wait === undefined) return this.#become('denied');
      if (!signal.aborted) await pause(wait, signal);
    }
  }

  /** @returns How long to wait before the next attempt, in milliseconds; undefined where there is to be none. */
  async #read(topics: readonly string[], signal: AbortSignal): Promise<number | undefined> {
    if (this.#state !== 'failing') this.#become('opening');
    this.#heard = Date.now();
    const attempt = this.#attempt;
    const watch = setInterval(() => {
      if (Date.now() - this.#heard > this.#staleAfter) attempt.abort();
    }, this.#staleAfter / 4);
    try {
      const query = new URLSearchParams(topics.map((topic): [string, string] => ['topic', topic]));
      if (this.#cursor !== undefined) query.set('lastEventId', this.#cursor);
      const answer = await this.#requests.send(`/events?${query.toString()}`, { signal });
      // The service wants this client never to come back.
      if (answer.body === null || answer.status === 204) return undefined;
      await this.#takeAll(answer.body, topics, signal);
      return this.#retryMs;
    } catch (error) {
      if (signal.aborted) return 0;
      if (error instanceof TidingsError) return await this.#refused(error, topics, signal);
      this.#become('failing');
      return Math.max(pauseAfter(++this.#failures), retryAfterOf(error));
    } finally {
      clearInterval(watch);
    }
  }

  async #takeAll(body: ReadableStream<Uint8Array>, topics: readonly string[], signal: AbortSignal): Promise<void> {
    let isBegun = false;
    const listener = this.#listener;
    const push = frames({
      frame: (frame) => {
        if (signal.aborted) return;
        const content = JSON.parse(frame.data) as unknown;
        // Before it is handed out: a subscription that falls behind reads on from here.
        if (frame.id !== undefined) this.#cursor = frame.id;
        this.#take(frame.event, content);
        if (isBegun || frame.id === undefined) return;
        isBegun = true;
        this.#failures = 0;
        listener.began(topics, frame.id);
        this.#become('open');
      },
      retry: (milliseconds) => {
        this.#retryMs = milliseconds;
      },
    });
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#heard = Date.now();
      push(decoder.decode(value, { stream: true }));
    }
  }

  #take(event: string, content: unknown): void {
    switch (event) {
      case '$open': this.#handle = (content as { readonly stream?: StreamHandle }).stream; break;
      case '$gap': this.#listener.gap(content as Gap); break;
      case '$erased': this.#listener.erased(content as Erased); break;
      case '$expiring': void this.#renew(); break;
      case '$cursor': this.#listener.moved(); break;
      default: if (!event.startsWith('$')) this.#listener.message(content as Message);
    }
  }

  /** The stream goes on by a new token. Where that fails it ends, and the next one begins with a new token. */
  async #renew(): Promise<void> {
    const handle = this.#handle;
    if (!this.#hasTokens || handle === undefined) return;
    this.#requests.forgetToken();
    const { signal } = this.#attempt;
    await this.#requests.send(`/streams/${handle.id}/credential`, { method: 'POST', body: JSON.stringify({ secret: handle.secret }), signal }).catch(() => undefined);
  }

  /** One topic that is refused must not cost the others their stream: which one it is, each is asked for. */
  async #refused(error: TidingsError, topics: readonly string[], signal: AbortSignal): Promise<number | undefined> {
    let isFound = false;
    for (const topic of error.status === 401 || topics.length === 1 ? [] : topics) {
      const refusal = await this.#refusalOf(topic, signal);
      if (signal.aborted) return 0;
      if (refusal === undefined) continue;
      if (!(refusal instanceof TidingsError)) return pauseAfter(++this.#failures);
      isFound = true;
      this.#listener.refused(refusal, topic);
    }
    if (isFound) return 0;
    this.#listener.refused(error, error.status === 401 ? undefined : topics[0]);
    return undefined;
  }

  #refusalOf(topic: string, signal: AbortSignal): Promise<unknown> {
    return this.#requests.send(`/cursor?topic=${encodeURIComponent(topic)}`, { signal }).then(() => undefined, (error: unknown) => error);
  }

  #become(state: StreamState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#listener.stateChanged();
  }
}

function retryAfterOf(error: unknown): number {
  return error instanceof Passing ? error.retryAfter ?? 0 : 0;
}
