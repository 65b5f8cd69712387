import type { Connection, ConnectionEvents, ConnectOptions, IterationOptions, Message, Presence, PresenceEvents, Published, PublishOptions, Status, SubscribeOptions, Subscription } from './api.ts';
import { Emitter } from './emitter.ts';
import { onReturn } from './environment.ts';
import { EventStream, type EventStreamDependencies, type StreamListener } from './event-stream.ts';
import { Iteration } from './iteration.ts';
import { CONNECT, PUBLISH, STREAM, SUBSCRIBE, checkOptions } from './options.ts';
import type { PresenceStream } from './presence.ts';
import { publish } from './publish.ts';
import { Requests, TidingsError } from './requests.ts';
import { StoredCursor, type Place } from './stored-cursor.ts';
import { TopicSubscription, type Consumer } from './subscription.ts';
import { placeOf } from './topics.ts';

/**
 * The client library, for browsers and for servers that have `fetch`. An application asks for topics, and gets messages: each once, in order, over reconnects. It imports nothing of the
 * service, and knows only what docs/protocol.md promises. `built/` has it as JavaScript; the service serves that at /client.js.
 */

export type * from './api.ts';
export { TidingsError };

/** Nothing was heard for so long: the connection is dead. Twice the heartbeat of the service, and some time more. Milliseconds. */
const STALE_AFTER_MS = 60_000;

/**
 * A connection to a service; it opens with the first subscription.
 * @param url Where the service is: its origin, and the path below which it lies.
 * @throws TypeError that names the option that is wrong, or that there is not
 */
export function connect(url: string, options: ConnectOptions = {}): Connection {
  checkOptions('url', url, options, CONNECT);
  return new Tidings(url, options);
}

class Tidings implements Connection {
  readonly #requests: Requests;
  readonly #open: (listener: StreamListener, isWatching: boolean) => EventStream;
  readonly #stream: EventStream;
  #presence: Promise<PresenceStream> | undefined;
  readonly #stored: StoredCursor;
  readonly #events = new Emitter<ConnectionEvents>();
  readonly #subscriptions = new Set<TopicSubscription>();
  readonly #stopListening: () => void;
  #status: Status = 'connecting';
  #isOut = false;
  #isClosed = false;

  constructor(url: string, options: ConnectOptions) {
    const { staleAfter = STALE_AFTER_MS, getToken, store, share, fallback, transport, as, meta } = options;
    const member = { as, meta: meta && JSON.stringify(meta) };
    const requests = this.#requests = new Requests(url, options);
    const openHere = (listener: StreamListener, more: Partial<EventStreamDependencies>): EventStream =>
      new EventStream({ requests, listener, staleAfter, hasTokens: getToken !== undefined, canPoll: fallback !== 'none', transport, member, ...more });
    this.#open = (listener, isWatching) => {
      const open: typeof openHere = (listener, more) => openHere(listener, { ...more, isWatching });
      // Where the module cannot be had, the tab has a stream of its own.
      const source = share ? import('./sharing.ts').then(({ shared }) => shared({ share, as, requests, isWatching, open, restart: () => stream.restart() }), () => undefined) : undefined;
      const stream = open(listener, { source });
      return stream;
    };
    this.#stream = this.#open(this.#listener(), false);
    this.#stored = new StoredCursor({ store, url, place: () => this.#place() });
    this.#stopListening = onReturn((isOnline) => this.#stream.look(isOnline));
  }

  get status(): Status {
    return this.#status;
  }

  on<Name extends keyof ConnectionEvents>(name: Name, listener: (value: ConnectionEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  subscribe<Data = unknown>(topic: string, options: SubscribeOptions = {}): Subscription<Data> {
    checkOptions('topic', topic, options, SUBSCRIBE);
    return this.#add(topic, options);
  }

  stream<Data = unknown>(topic: string, iterationOptions: IterationOptions = {}): AsyncIterableIterator<Message<Data>> {
    checkOptions('topic', topic, iterationOptions, STREAM);
    const { signal, ...options } = iterationOptions;
    const iteration = new Iteration();
    const subscription = this.#add(topic, options, iteration);
    subscription.on('error', (error) => iteration.end(error));
    const leave = (): void => {
      subscription.unsubscribe();
      iteration.end();
    };
    signal?.addEventListener('abort', leave);
    if (signal?.aborted === true) leave();
    return iteration.messages(leave) as AsyncIterableIterator<Message<Data>>;
  }

  presence(topic: string): Presence {
    checkOptions('topic', topic, {}, {});
    const events = new Emitter<PresenceEvents>();
    const end = new AbortController();
    const presence = this.#presence ??= import('./presence.ts').then(({ PresenceStream }) => new PresenceStream({
      open: (listener) => this.#open(listener, true),
      isOut: () => this.#isOut || this.#isClosed,
      unheard: (error) => this.#events.emit('error', error),
    }));
    presence.then((stream) => stream.watch(topic, events, end.signal), (error: Error) => {
      this.#presence = undefined;
      if (!events.emit('error', error)) this.#events.emit('error', error);
    });
    return { topic, on: (name, listener) => events.on(name, listener), stop: () => end.abort() };
  }

  async publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    checkOptions('topic', topic, options, PUBLISH);
    return publish(this.#requests, topic, data, options);
  }

  login(): void {
    if (this.#isClosed) return;
    this.#isOut = false;
    this.#requests.forgetToken();
    for (const subscription of this.#subscriptions) if (subscription.isRefused) subscription.reset();
    this.#restart();
  }

  logout(): void {
    this.#isOut = true;
    this.#requests.forgetToken();
    this.#stored.clear();
    for (const subscription of this.#subscriptions) subscription.reset();
    this.#stream.forget();
    this.#restart();
    this.#update();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#stored.close();
    this.#isClosed = true;
    this.#stopListening();
    this.#stream.close();
    this.#withPresence((stream) => stream.close());
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#update();
  }

  #restart(): void {
    this.#stream.restart();
    this.#withPresence((stream) => stream.restart());
  }

  #withPresence(task: (stream: PresenceStream) => void): void {
    // Where the module cannot be had, those that watch were told.
    void this.#presence?.then(task, () => undefined);
  }

  #add(topic: string, options: SubscribeOptions, consumer?: Consumer): TopicSubscription {
    const after = this.#stored.after(topic);
    const subscription = new TopicSubscription(topic, after === undefined || options.getState !== undefined ? options : { after }, {
      requests: this.#requests,
      cursor: () => this.#stream.cursor,
      changed: () => this.#update(),
      unheard: (error) => this.#events.emit('error', error),
      refused: (refused, error) => {
        refused.refuse(error);
        this.#stream.change();
      },
      over: (over) => {
        this.#subscriptions.delete(over);
        consumer?.end();
        this.#stream.change();
        this.#update();
      },
    }, consumer);
    if (this.#isClosed) {
      subscription.unsubscribe();
      return subscription;
    }
    this.#subscriptions.add(subscription);
    if (this.#stream.tells(topic)) subscription.began();
    else this.#stream.change();
    this.#update();
    return subscription;
  }

  #wanted(): string[] {
    return this.#isOut ? [] : [...new Set([...this.#subscriptions].filter(({ isRefused }) => !isRefused).map(({ topic }) => topic))];
  }

  /** What survives a reload. Of several subscriptions of a topic the one that lacks most counts: a message that comes twice is better than one that is lost. */
  #place(): Place | undefined {
    const { cursor } = this.#stream;
    if (cursor === undefined || this.#isOut) return undefined;
    const places = new Map<string, string>();
    for (const { topic, place } of this.#subscriptions) {
      const other = places.get(topic);
      if (place !== undefined && (other === undefined || placeOf(place) < placeOf(other))) places.set(topic, place);
    }
    const all = [...places];
    return { cursor, topics: all.filter(([, place]) => place === cursor).map(([topic]) => topic), behind: Object.fromEntries(all.filter(([, place]) => place !== cursor)) };
  }

  #listener(): StreamListener {
    const each = (task: (subscription: TopicSubscription) => void): void => {
      for (const subscription of this.#subscriptions) task(subscription);
      this.#stored.changed();
    };
    return {
      wanted: () => this.#wanted(),
      began: (topics) => each((subscription) => {
        if (topics.includes(subscription.topic)) subscription.began();
      }),
      message: (message) => each((subscription) => subscription.message(message)),
      gap: (gap) => each((subscription) => subscription.gap(gap)),
      erased: (erased) => each((subscription) => subscription.erased(erased)),
      moved: () => this.#stored.changed(),
      refused: (error, topic) => {
        if (topic === undefined) this.#events.emit('error', error);
        else each((subscription) => {
          if (subscription.topic === topic) subscription.refuse(error);
        });
      },
      stateChanged: () => this.#update(),
    };
  }

  #update(): void {
    const status = this.#statusNow();
    if (status === this.#status) return;
    this.#status = status;
    this.#events.emit('status', status);
  }

  #statusNow(): Status {
    if (this.#isClosed || this.#isOut) return 'closed';
    const { state } = this.#stream;
    if (state === 'open') return [...this.#subscriptions].some(({ isBehind }) => isBehind) ? 'catching-up' : 'live';
    return state === 'failing' ? 'offline' : state === 'denied' ? state : 'connecting';
  }
}
