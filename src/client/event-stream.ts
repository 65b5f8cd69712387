import type { Erased, Gap, Message } from './api.ts';
import { frames } from './frames.ts';
import type { PresenceEvent } from './presence-state.ts';
import { TidingsError, type Requests } from './requests.ts';
import type { SourceTaker, StreamSource } from './stream-source.ts';
import type { StreamHandle } from './stream-topics.ts';
import { topicQuery } from './topics.ts';
import { pause, pauseAfter } from './waiting.ts';

/** What the stream is doing. `opening`: an attempt is under way, or due after an orderly end. `failing`: the last attempt failed, and the next is due. */
export type StreamState = 'idle' | 'opening' | 'open' | 'failing' | 'denied';

export interface StreamListener {
  /** The topics and patterns that are wanted now. */
  wanted(): string[];
  /** From this place on the stream has these topics. */
  began(topics: readonly string[], cursor: string): void;
  message(message: Message): void;
  gap(gap: Gap): void;
  erased(erased: Erased): void;
  /** Who listens; of a stream that watches. */
  presence?(event: PresenceEvent): void;
  /** The place has changed, and there is no message. */
  moved(): void;
  /** The service refuses a topic; without one, everything. */
  refused(error: TidingsError, topic?: string): void;
  stateChanged(): void;
}

export interface EventStreamDependencies {
  readonly requests: Requests;
  readonly listener: StreamListener;
  /** Milliseconds. */
  readonly staleAfter: number;
  /** Whether a token can be asked for. */
  readonly hasTokens: boolean;
  /** Whether it may poll where the stream is held back. */
  readonly canPoll: boolean;
  /** Where to read; by default, and where it resolves with nothing, at the service. */
  readonly source?: Promise<StreamSource | undefined> | undefined;
  readonly transport?: 'sse' | 'websocket' | undefined;
  /** Whether it watches who listens. Such a stream always begins now. */
  readonly isWatching?: boolean;
  /** Who listens, as parameters of the stream. */
  readonly member?: Readonly<Record<string, string | undefined>>;
  /** Where it begins; by default now. */
  readonly cursor?: string | undefined;
  /** By default `FIRST_FRAME_MAX_MS`. */
  readonly firstFrameMs?: number;
  /** How often a stream that is held back is tried again; `long-poll.ts` has the default. Milliseconds. */
  readonly streamAgainMs?: number;
}

/** The first reconnection time; the service says its own. Milliseconds. */
const RETRY_MS = 1_000;
/** How long the first frame may take. The service sends it at once; after this time, something on the way holds it back. Milliseconds. */
const FIRST_FRAME_MAX_MS = 10_000;

const streamTopics = () => import('./stream-topics.ts');

/** One stream for all subscriptions. It comes back after any end, from the place that it has reached. */
export class EventStream implements SourceTaker {
  readonly #dependencies: EventStreamDependencies;
  readonly #listener: StreamListener;
  #state: StreamState = 'idle';
  #cursor: string | undefined;
  #topics: readonly string[] = [];
  #retryMs = RETRY_MS;
  /** Ends the attempt, or the pause, that is under way: the next one begins at once. */
  #attempt = new AbortController();
  #heard = 0;
  #handle: StreamHandle | undefined;
  /** Of a change that is under way: what the stream will have. Another change waits until the stream has told of this one, so that each `$topics` is of one change. */
  #next: readonly string[] | undefined;
  #isChanging = false;
  #failures = 0;
  #isRunning = false;
  #isClosed = false;
  /** Something on the way holds streams back. */
  #isHeldBack = false;

  constructor(dependencies: EventStreamDependencies) {
    this.#dependencies = dependencies;
    this.#listener = dependencies.listener;
    this.#cursor = dependencies.cursor;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** The place that the stream has reached; undefined before it has begun. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** Whether the stream has a topic, and keeps it. */
  tells(topic: string): boolean {
    return this.#state === 'open' && this.#topics.includes(topic) && (this.#next ?? this.#topics).includes(topic);
  }

  /** What is wanted has changed. An open stream is changed, all at once for what changes in one turn. One that cannot be changed is opened anew for a topic that it lacks, or where nothing is wanted. */
  change(): void {
    // The attempt that follows an end asks what is wanted.
    if (this.#isClosed || (this.#isRunning && this.#attempt.signal.aborted)) return;
    const wanted = this.#listener.wanted();
    const handle = this.#handle;
    if (wanted.length === 0 || (handle === undefined && !wanted.every((topic) => this.#topics.includes(topic)))) return this.restart();
    if (handle === undefined || this.#isChanging) return;
    this.#isChanging = true;
    void this.#change(handle, this.#attempt.signal);
  }

  /** Connects anew: the connection may be dead, or what is wanted is another thing. A refusal is forgotten. */
  restart(): void {
    this.#attempt.abort();
    if (this.#isClosed || this.#isRunning) return;
    this.#isRunning = true;
    void this.#run().finally(() => {
      this.#isRunning = false;
      void this.#dependencies.source?.then((source) => source?.leave());
    });
  }

  /** A page is back. It connects anew where its network has changed, no connection is open, or the one that is has been silent for half as long as makes it stale. */
  look(isOnline: boolean): void {
    if (this.#isRunning && (isOnline || this.#state !== 'open' || Date.now() - this.#heard > this.#dependencies.staleAfter / 2)) this.restart();
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
      // What is subscribed to in the same turn goes into one request.
      await Promise.resolve();
      this.#attempt = new AbortController();
      const { signal } = this.#attempt;
      const topics = this.#isClosed ? [] : this.#listener.wanted();
      if (topics.length === 0) return this.#become('idle');
      const wait = await this.#read(topics, signal);
      if (wait === undefined) return this.#become('denied');
      if (!signal.aborted) await pause(wait, signal);
    }
  }

  take(event: string, content: unknown, id?: string): void {
    // Before it is handed out: a subscription that falls behind reads on from here.
    if (id !== undefined) this.#cursor = id;
    switch (event) {
      case '$open': this.#handle = (content as { readonly stream?: StreamHandle }).stream; break;
      case '$topics': this.#changed((content as { readonly topics: readonly string[] }).topics, id!); break;
      case '$gap': this.#listener.gap(content as Gap); break;
      case '$erased': this.#listener.erased(content as Erased); break;
      case '$presence': this.#listener.presence?.(content as PresenceEvent); break;
      case '$expiring': this.#renew(); break;
      case '$cursor': this.#listener.moved(); break;
      default: if (!event.startsWith('$')) this.#listener.message(content as Message);
    }
    if (id === undefined || this.#state === 'open') return;
    this.#failures = 0;
    this.#listener.began(this.#topics, id);
    this.#become('open');
  }

  heard(): void {
    this.#heard = Date.now();
  }

  failed(): void {
    this.#become('failing');
  }

  /** @returns How long to wait before the next attempt, in milliseconds; undefined where there is to be none. */
  async #read(topics: readonly string[], signal: AbortSignal): Promise<number | undefined> {
    this.#topics = topics;
    if (this.#state !== 'failing') this.#become('opening');
    this.heard();
    try {
      const source = await this.#dependencies.source;
      if (source === undefined) return await this.#readHere(topics, signal);
      await source.read(this, topics, signal);
      return 0;
    } catch (error) {
      if (signal.aborted) return 0;
      if (error instanceof TidingsError) return this.#refused(error, topics, signal);
      this.failed();
      return pauseAfter(++this.#failures, error);
    }
  }

  /** Reads at the service. @returns The same. */
  async #readHere(topics: readonly string[], signal: AbortSignal): Promise<number | undefined> {
    const { requests, staleAfter, canPoll, transport, hasTokens, isWatching, member = {}, firstFrameMs = FIRST_FRAME_MAX_MS } = this.#dependencies;
    const attempt = this.#attempt;
    const watch = setInterval(() => {
      if (Date.now() - this.#heard > staleAfter) attempt.abort();
    }, staleAfter / 4);
    const first = setTimeout(() => {
      if (!canPoll || isWatching || this.#state === 'open') return;
      this.#isHeldBack = true;
      attempt.abort();
    }, firstFrameMs);
    try {
      if (this.#isHeldBack) {
        const { longPoll } = await import('./long-poll.ts');
        await longPoll({ ...this.#dependencies, firstFrameMs, taker: this, topics, signal });
        this.#isHeldBack = false;
        return 0;
      }
      const query = topicQuery(topics);
      for (const [name, value] of Object.entries(member)) if (value !== undefined) query.set(name, value);
      if (isWatching) query.set('presence', '1');
      else if (this.#cursor !== undefined) query.set('lastEventId', this.#cursor);
      if (transport === 'websocket') {
        const { readSocket } = await import('./web-socket.ts');
        const wait = await readSocket({ requests, query, topics, hasTokens, taker: this, signal, retryMs: this.#retryMs });
        // Where no WebSocket comes through, an event stream may.
        if (wait !== 'blocked') return wait;
        query.delete('ticket');
      }
      const { body } = await requests.send(`/events?${query.toString()}`, { signal });
      // 204: the service wants this client never to come back.
      if (body === null) return undefined;
      await this.#takeAll(body, signal);
      return this.#retryMs;
    } finally {
      clearInterval(watch);
      clearTimeout(first);
      // What was to be changed is in the topics of the next stream.
      this.#handle = this.#next = undefined;
      this.#isChanging = false;
    }
  }

  async #takeAll(body: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<void> {
    const push = frames({
      frame: ({ event, data, id }) => {
        if (!signal.aborted) this.take(event, JSON.parse(data) as unknown, id);
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
      this.heard();
      push(decoder.decode(value, { stream: true }));
    }
  }

  /** The stream goes on by a new token. Where that fails it ends, and the next one begins with a new token. */
  #renew(): void {
    const handle = this.#handle;
    if (!this.#dependencies.hasTokens || handle === undefined) return;
    const { signal } = this.#attempt;
    void streamTopics().then(({ renew }) => renew(this.#dependencies.requests, handle, signal)).catch(() => undefined);
  }

  /** All changes of one turn are one request, because the module is there only after the turn. */
  async #change(handle: StreamHandle, signal: AbortSignal): Promise<void> {
    const outcome = await streamTopics().then(({ changeTopics }) => changeTopics(this.#dependencies, {
      handle, signal,
      topics: () => (handle === this.#handle ? this.#topics : undefined),
      begin: (next) => {
        this.#next = next;
      },
    })).catch(() => 'restart');
    if (outcome === 'wait' || signal.aborted || handle !== this.#handle) return;
    if (outcome === 'restart') return this.restart();
    this.#next = undefined;
    this.#isChanging = false;
    if (outcome === 'again') this.change();
  }

  #changed(topics: readonly string[], cursor: string): void {
    this.#topics = topics;
    this.#next = undefined;
    this.#isChanging = false;
    this.#listener.began(topics, cursor);
    this.change();
  }

  async #refused(error: TidingsError, topics: readonly string[], signal: AbortSignal): Promise<number | undefined> {
    const isDenied = error.status === 401 || error.field === 'as' || error.field === 'meta';
    const isTold = !isDenied && topics.length > 1 && await streamTopics().then(({ tellRefused }) => tellRefused(this.#dependencies, topics, signal)).catch(() => undefined);
    if (isTold === undefined) return signal.aborted ? 0 : pauseAfter(++this.#failures);
    if (isTold) return 0;
    this.#listener.refused(error, isDenied ? undefined : topics[0]);
    return undefined;
  }

  #become(state: StreamState): void {
    if (state === 'idle' || state === 'denied') this.#topics = [];
    if (state === this.#state) return;
    this.#state = state;
    this.#listener.stateChanged();
  }
}
