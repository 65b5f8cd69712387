import type { Connection, ConnectionEvents, ConnectOptions, IterationOptions, Message, PresenceEvents, Status, SubscribeOptions } from './api.ts';
import { emitter } from './emitter.ts';
import { createEventStream } from './event-stream.ts';
import { later } from './later.ts';
import { CONNECT, STREAM, SUBSCRIBE, checkOptions } from './options.ts';
import type { PresenceStream } from './presence.ts';
import type { TopicSubscription } from './reading.ts';
import { TidingsError } from './requests.ts';
import type { StoredCursor } from './stored-cursor.ts';
import type { EventStream, StreamListener } from './stream.ts';
import { subscribe } from './subscription.ts';
import { createRequests } from './token-requests.ts';

/**
 * The client library, for browsers and for servers that have `fetch`. An application subscribes to topics, and gets each message once, in order, over reconnects. The library imports nothing of
 * the service, and relies only on docs/protocol.md. `built/` has it as JavaScript; the service serves that at /client.js.
 *
 * Read in this order: api.ts (the public types), this file, event-stream.ts (the one stream), subscription.ts and history.ts (a topic, from history to live). Other sources of the stream are
 * long-poll.ts, web-socket.ts and sharing.ts.
 */

export type * from './api.ts';
export { TidingsError };

/**
 * Makes a connection to a service. It opens its stream with the first subscription.
 * @param url The URL of the service: its origin, and the path prefix that a proxy gives it.
 * @throws TypeError that names an option with a wrong value, or an unknown option
 */
export function connect(url: string, options: ConnectOptions = {}): Connection {
  checkOptions('url', url, options, CONNECT);
  const { store } = options;
  const { on, emit } = emitter<ConnectionEvents>();
  const subscriptions = new Set<TopicSubscription>();
  const requests = createRequests(url, options);
  let presence: PresenceStream | undefined;
  let status: Status = 'connecting';
  let stored: StoredCursor | undefined;
  /** Whether stored cursors are loaded, or there is no store. Before that no subscription may begin: it would miss its cursor. */
  let isReady = !store || store === 'memory';
  /** `logout()` came before the stored cursors were loaded: clear them then. */
  let isForgotten = false;
  /** Between `logout()` and `login()`. */
  let isOut = false;
  let isClosed = false;

  const open = (listener: StreamListener, isWatching?: boolean): EventStream => createEventStream({ requests, options, listener, isWatching });

  /** Computes `status`, and emits a change of it. */
  const update = (): void => {
    const { state } = stream;
    const now = isClosed || isOut ? 'closed'
      : state === 'open' ? [...subscriptions].some((subscription) => subscription.state !== 'live' && subscription.state !== 'refused') ? 'catching-up' : 'live'
      : state;
    if (now === status) return;
    status = now;
    emit('status', now);
  };

  /** Runs a task that may move cursors, for each subscription. Then the cursors are stored. */
  const each = (task: (subscription: TopicSubscription) => void): void => {
    for (const subscription of subscriptions) task(subscription);
    stored?.changed();
  };

  const stream = open({
    wanted: () => (isOut ? [] : [...new Set([...subscriptions].filter((subscription) => subscription.state !== 'refused').map(({ topic }) => topic))]),
    began: (topics) => {
      if (isReady) each((subscription) => {
        if (topics.includes(subscription.topic)) subscription.began();
      });
    },
    take: (event, content) => each((subscription) => subscription.take(event, content)),
    refused: (error, topic) => {
      if (!topic) emit('error', error);
      else each((subscription) => {
        if (subscription.topic === topic) subscription.refuse(error);
      });
    },
    changed: update,
  });
  const end = new AbortController();
  void later(end.signal).then(({ lookOnReturn, storedCursor }) => {
    if (isClosed) return;
    end.signal.addEventListener('abort', lookOnReturn(stream, options));
    stored = storedCursor({ store, url, cursor: () => (isOut ? undefined : stream.cursor), subscriptions });
    if (isForgotten) stored.clear();
  }).catch(() => undefined).then(() => {
    isReady = true;
    each((subscription) => {
      subscription.restore(stored?.after(subscription.topic));
      if (stream.tells(subscription.topic)) subscription.began();
    });
  });

  const add = (topic: string, start: SubscribeOptions, isLoop = false): TopicSubscription => {
    const subscription = subscribe(topic, start, { requests, stream, subscriptions, changed: update, unheard: emit }, isLoop);
    if (isClosed) {
      subscription.unsubscribe();
    } else {
      subscriptions.add(subscription);
      subscription.restore(stored?.after(topic));
      if (isReady && stream.tells(topic)) subscription.began();
      else stream.change();
      update();
    }
    return subscription;
  };

  return {
    get status() {
      return status;
    },
    on,
    subscribe(topic, start = {}) {
      checkOptions('topic', topic, start, SUBSCRIBE);
      return add(topic, start);
    },
    stream<Data>(topic: string, start: IterationOptions = {}) {
      checkOptions('topic', topic, start, STREAM);
      const { signal, ...rest } = start;
      const subscription = add(topic, rest, true);
      signal?.addEventListener('abort', subscription.unsubscribe);
      if (signal?.aborted) subscription.unsubscribe();
      return (async function* () {
        yield* (await later(subscription.signal)).iterate(subscription) as AsyncGenerator<Message<Data>>;
      })();
    },
    presence(topic) {
      checkOptions('topic', topic);
      const events = emitter<PresenceEvents>();
      const end = new AbortController();
      import('./presence.ts').then(({ PresenceStream }) => {
        presence ??= new PresenceStream({ options, open, isOut: () => isOut || isClosed, emit });
        presence.watch(topic, events, end.signal);
      }).catch((error: Error) => {
        if (!events.emit('error', error)) emit('error', error);
      });
      return { topic, on: events.on, stop: () => end.abort() };
    },
    async publish(topic, data, how = {}) {
      const isText = typeof data === 'string';
      // Copy the data and options: the caller may change them while the module is loaded.
      const publication = { requests, topic, isText, body: isText ? data : JSON.stringify(data) as string | undefined, options: Object(how) === how ? { ...how } : how, refusal: TidingsError };
      const { publish } = await later(how?.signal);
      return publish(publication);
    },
    login() {
      if (isClosed) return;
      isOut = false;
      requests.forget();
      for (const subscription of subscriptions) if (subscription.state === 'refused') subscription.reset();
      stream.restart();
      presence?.restart();
    },
    logout() {
      isOut = true;
      requests.forget();
      isForgotten = true;
      stored?.clear();
      for (const subscription of subscriptions) subscription.reset();
      stream.forget();
      stream.restart();
      presence?.restart();
      update();
    },
    close() {
      if (isClosed) return;
      stored?.close();
      isClosed = true;
      end.abort();
      stream.close();
      presence?.close();
      for (const subscription of subscriptions) subscription.unsubscribe();
      update();
    },
  };
}
