import { frames } from './frames.ts';
import { later, more } from './later.ts';
import { TidingsError } from './requests.ts';
import type { StreamSource } from './stream-source.ts';
import type { Attempt, EventStream, EventStreamDependencies, StreamHandle, StreamState } from './stream.ts';
import { topicQuery } from './topics.ts';
import { pause, pauseAfter } from './waiting.ts';

/** The stream of a connection, as server-sent events by `fetch`, or by another `StreamSource`. `run` makes attempts one after the other; `take` handles their events. */

/** The reconnection time before the service sends one (`retry:`). Milliseconds. */
const RETRY_MS = 1_000;

const attemptOn = (topics: readonly string[]): Attempt => ({ topics, end: new AbortController(), heard: Date.now() });

export function createEventStream(dependencies: EventStreamDependencies): EventStream {
  const { requests, listener, options: { share, transport, as, meta }, isWatching } = dependencies;
  let { cursor } = dependencies;
  let state: StreamState = 'connecting';
  let retryMs = RETRY_MS;
  let attempt = attemptOn([]);
  let failures = 0;
  let isRunning = false;
  let isClosed = false;

  const become = (now: StreamState): void => {
    if (now === state) return;
    state = now;
    listener.changed();
  };

  /** Reads an event stream from the service to its end. @returns The pause before the next attempt, in milliseconds; undefined if no attempt is to follow. */
  const readHere = async ({ topics, end: { signal } }: Attempt): Promise<number | undefined> => {
    const watching = later(signal).then(({ watch }) => watch(dependencies, attempt, self), () => () => undefined);
    try {
      const query = topicQuery(topics);
      for (const [name, value] of Object.entries({ as, meta: meta && JSON.stringify(meta), ...(isWatching ? { presence: '1' } : { lastEventId: cursor }) })) if (value !== undefined) query.set(name, value);
      const { body } = await requests.send(`/events?${query.toString()}`, { signal });
      // 204 tells an EventSource never to reconnect.
      if (body === null) return undefined;
      const push = frames({
        frame: ({ event, data, id }) => {
          if (!signal.aborted) self.take(event, JSON.parse(data) as unknown, id);
        },
        retry: (milliseconds) => {
          retryMs = milliseconds;
        },
      });
      const decoder = new TextDecoder();
      const reader = body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return retryMs;
        self.heard();
        push(decoder.decode(value, { stream: true }));
      }
    } finally {
      void watching.then((stop) => stop());
      // From here on `change` must not use the handle: the next attempt requests the topics wanted then.
      attempt.handle = undefined;
    }
  };

  /** Reads from the current source. Failures become a pause. @returns As `readHere`. */
  const read = async (current: Attempt): Promise<number | undefined> => {
    const { topics, end: { signal } } = current;
    if (state !== 'offline') become('connecting');
    try {
      const source = self.fallback ?? await shared;
      return !source || await source.read(self, topics, signal) ? await readHere(current) : 0;
    } catch (error) {
      if (signal.aborted) return 0;
      if (error instanceof TidingsError) {
        const outcome = await more().then(({ refused }) => refused(dependencies, error, topics, signal), () => 'later');
        return outcome === 'denied' ? undefined : signal.aborted || outcome === 'again' ? 0 : pauseAfter(++failures);
      }
      self.failed();
      return pauseAfter(++failures, error);
    }
  };

  /** Makes attempts until no topic is wanted, or the stream is denied. */
  const run = async (): Promise<void> => {
    for (;;) {
      // Waits for the end of the turn: one request for all topics subscribed in it.
      await Promise.resolve();
      attempt = attemptOn(isClosed ? [] : listener.wanted());
      if (!attempt.topics.length) return become('connecting');
      const wait = await read(attempt);
      if (wait === undefined) {
        attempt.topics = [];
        return become('denied');
      }
      await pause(wait, attempt.end.signal);
    }
  };

  const self: EventStream = {
    get state() {
      return state;
    },
    get cursor() {
      return cursor;
    },
    get attempt() {
      return attempt;
    },
    tells(topic) {
      return state === 'open' && attempt.topics.includes(topic) && (attempt.next ?? attempt.topics).includes(topic);
    },
    change() {
      const current = attempt;
      const { topics, handle, end } = current;
      // An attempt that is ending: the next one requests the topics wanted then.
      if (isClosed || (isRunning && end.signal.aborted)) return;
      const wanted = listener.wanted();
      if (!wanted.length || (!handle && !wanted.every((topic) => topics.includes(topic)))) self.restart();
      // `later` resolves after the turn, and `change` reads the wanted topics then: one request for all changes of a turn.
      else if (handle) void later(end.signal).then(({ change }) => change(dependencies, current, self)).catch(() => {
        if (!end.signal.aborted) self.restart();
      });
    },
    restart() {
      attempt.end.abort();
      if (isClosed || isRunning) return;
      isRunning = true;
      void run().finally(() => {
        isRunning = false;
        void shared?.then((source) => source?.leave());
      });
    },
    forget() {
      cursor = undefined;
    },
    close() {
      isClosed = true;
      attempt.end.abort();
    },
    take(event, content, id) {
      const current = attempt;
      // Set the cursor before the listener runs: a subscription that falls behind resumes at it.
      if (id !== undefined) cursor = id;
      if (event === '$open') {
        current.handle = (content as { readonly stream?: StreamHandle }).stream;
      } else if (event === '$topics') {
        attempt.topics = (content as { readonly topics: readonly string[] }).topics;
        attempt.next = undefined;
        listener.began(attempt.topics, id!);
        self.change();
      } else if (event === '$expiring') {
        // If the renewal fails, the service ends the stream, and the next attempt gets a new token.
        void more().then(({ renew }) => renew(dependencies, current)).catch(() => undefined);
      } else {
        listener.take(event, content);
      }
      if (id === undefined || state === 'open') return;
      failures = 0;
      listener.began(attempt.topics, id);
      become('open');
    },
    heard() {
      attempt.heard = Date.now();
    },
    failed() {
      become('offline');
    },
  };
  // If the module cannot be loaded, the tab has an event stream of its own.
  const shared: Promise<StreamSource | undefined> | undefined = share || transport ? more().then(({ sourceFor }) => sourceFor({ ...dependencies, open: createEventStream, stream: self })).catch(() => undefined) : undefined;
  return self;
}
