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
 * The client library, for browsers and for servers that have `fetch`. An application asks for topics, and gets messages: each once, in order, over reconnects. It imports nothing of the
 * service, and knows only what docs/protocol.md promises. `built/` has it as JavaScript; the service serves that at /client.js.
 */

export type * from './api.ts';
export { TidingsError };

/**
 * A connection to a service; it opens with the first subscription.
 * @param url Where the service is: its origin, and the path below which it lies.
 * @throws TypeError that names the option that is wrong, or that there is not
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
  /** The stored cursor is known, if there is one. */
  let isReady = !store || store === 'memory';
  let isForgotten = false;
  let isOut = false;
  let isClosed = false;

  const open = (listener: StreamListener, isWatching?: boolean): EventStream => createEventStream({ requests, options, listener, isWatching });

  const update = (): void => {
    const { state } = stream;
    const now = isClosed || isOut ? 'closed'
      : state === 'open' ? [...subscriptions].some((subscription) => subscription.state !== 'live' && subscription.state !== 'refused') ? 'catching-up' : 'live'
      : state;
    if (now === status) return;
    status = now;
    emit('status', now);
  };

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
      // The caller may change them while the module is loaded.
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
