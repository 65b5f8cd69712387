import { frames } from './frames.ts';
import { later, more } from './later.ts';
import { TidingsError } from './requests.ts';
import type { StreamSource } from './stream-source.ts';
import type { Attempt, EventStream, EventStreamDependencies, StreamHandle, StreamState } from './stream.ts';
import { topicQuery } from './topics.ts';
import { pause, pauseAfter } from './waiting.ts';

/** The first reconnection time; the service says its own. Milliseconds. */
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

  /** Reads at the service. @returns How long to wait before the next attempt, in milliseconds; undefined where there is to be none. */
  const readHere = async ({ topics, end: { signal } }: Attempt): Promise<number | undefined> => {
    const watching = later(signal).then(({ watch }) => watch(dependencies, attempt, self), () => () => undefined);
    try {
      const query = topicQuery(topics);
      for (const [name, value] of Object.entries({ as, meta: meta && JSON.stringify(meta), ...(isWatching ? { presence: '1' } : { lastEventId: cursor }) })) if (value !== undefined) query.set(name, value);
      const { body } = await requests.send(`/events?${query.toString()}`, { signal });
      // 204: the service wants this client never to come back.
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
      // The next stream asks for the changed topics anyway.
      attempt.handle = undefined;
    }
  };

  /** @returns The same. */
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

  /** Ends when nothing is wanted, or everything is refused. */
  const run = async (): Promise<void> => {
    for (;;) {
      // All subscriptions of one turn go into one request.
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
      // The attempt after an end asks for the topics of that moment.
      if (isClosed || (isRunning && end.signal.aborted)) return;
      const wanted = listener.wanted();
      if (!wanted.length || (!handle && !wanted.every((topic) => topics.includes(topic)))) self.restart();
      // All changes of one turn are one request, because the module is there only after the turn.
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
      // Before it is handed out: a subscription that falls behind reads on from here.
      if (id !== undefined) cursor = id;
      if (event === '$open') {
        current.handle = (content as { readonly stream?: StreamHandle }).stream;
      } else if (event === '$topics') {
        attempt.topics = (content as { readonly topics: readonly string[] }).topics;
        attempt.next = undefined;
        listener.began(attempt.topics, id!);
        self.change();
      } else if (event === '$expiring') {
        // Where it fails the stream ends, and the next one begins with a new token.
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
  // Where a module cannot be had, the tab has a stream of its own.
  const shared: Promise<StreamSource | undefined> | undefined = share || transport ? more().then(({ sourceFor }) => sourceFor({ ...dependencies, open: createEventStream, stream: self })).catch(() => undefined) : undefined;
  return self;
}
