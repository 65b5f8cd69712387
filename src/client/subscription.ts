import type { Erased, Gap, Message, SubscribeOptions } from './api.ts';
import { emitter } from './emitter.ts';
import { later } from './later.ts';
import type { HistoryStart, SubscriptionDependencies, TopicSubscription } from './reading.ts';
import { matches, placeOf } from './topics.ts';

/** The most messages of the stream that are kept while history is read. Bounds the memory of a long replay: beyond it, history is read once more. */
const HELD_MAX_MESSAGES = 1_000;

/** Event names that `Subscription.on` uses itself. A message with such an event name is emitted as `any` only. */
const OWN_NAMES: readonly string[] = ['any', 'gap', 'erased', 'error'];

/**
 * Subscribes to a topic or pattern: each message once, in order. The subscription is a reader with a cursor of its own:
 *
 *     waiting ── began() ─► behind ── history reaches the stream's cursor ─► live
 *                             ▲                                               │
 *                             └── the loop's queue is full ◄──────────────────┘
 *
 * Without a start in the options, a subscription with listeners goes from `waiting` to `live` at once. `refuse()` leads from any state to `refused`, `reset()` to `waiting`.
 */
export function subscribe(topic: string, options: SubscribeOptions, dependencies: SubscriptionDependencies, isLoop: boolean): TopicSubscription {
  const { stream, subscriptions, changed, unheard } = dependencies;
  const { on, emit } = emitter<Record<string, unknown>>();
  const end = new AbortController();
  const { signal } = end;
  let state: TopicSubscription['state'] = 'waiting';
  /** While live: drops messages of the stream up to this number, because history had them. */
  let known = 0;

  /** Starts a new run: results of the run before are dropped. */
  const become = (next: typeof state): void => {
    self.run++;
    self.held = undefined;
    state = next;
    changed();
  };
  const begin = (start: HistoryStart = options): void => {
    const run = self.run + 1;
    if ((start.since ?? start.after ?? start.last ?? start.getState) === undefined) {
      self.origin = stream.cursor;
      if (!isLoop) return self.live(0);
      start = { after: self.origin! };
    }
    self.reached = start.after;
    become('behind');
    later(signal).then(({ read }) => {
      if (run === self.run) void read(self, start);
    }, (error: Error) => {
      if (run !== self.run) return;
      self.refuse(error);
      stream.change();
    });
  };
  const takeMessage = (message: Message): void => {
    if (state !== 'live') {
      if (self.held && self.held.push(message) > HELD_MAX_MESSAGES) self.held = undefined;
    } else if (placeOf(message.id) > known) {
      if (!self.consumer) self.hand(message);
      else if (!self.consumer.take(message)) begin({ after: message.id });
    }
  };

  const self: TopicSubscription = {
    ...dependencies, topic, isLoop, signal, emit, on: on as TopicSubscription['on'],
    run: 0,
    held: undefined,
    origin: options.after,
    reached: options.after,
    unsubscribe() {
      if (signal.aborted) return;
      self.run++;
      end.abort();
      subscriptions.delete(self);
      stream.change();
      changed();
    },
    get state() {
      return state;
    },
    get place() {
      const { consumer } = self;
      if (state === 'refused') return undefined;
      if (consumer?.hasWaiting) return consumer.handed ?? self.origin;
      return state === 'live' ? stream.cursor : self.reached;
    },
    restore(after) {
      if (!after || options.getState) return;
      options = { after };
      self.origin = self.reached = after;
    },
    began() {
      if (state === 'waiting') begin();
    },
    reset() {
      self.run++;
      state = 'waiting';
      known = 0;
      self.origin = self.reached = options.after;
    },
    refuse(error) {
      become('refused');
      self.error(error);
    },
    error(error) {
      if (isLoop) {
        self.failure = error;
        self.consumer?.end();
      } else if (!emit('error', error)) {
        unheard('error', error);
      }
    },
    take(event, content) {
      if (event === '$gap') {
        // The log may have been exchanged, and numbers may begin lower. The held messages belong to the lost log, or history has them.
        known = 0;
        self.held = undefined;
        if (state === 'waiting' || state === 'refused') return;
        emit('gap', content as Gap);
        if (options.getState) begin();
      } else if (event === '$erased') {
        if (state !== 'refused' && matches(topic, (content as Erased).topic)) emit('erased', content);
      } else if (!event.startsWith('$') && matches(topic, (content as Message).topic)) {
        takeMessage(content as Message);
      }
    },
    hand(message) {
      if (!OWN_NAMES.includes(message.event)) emit(message.event, message);
      emit('any', message);
    },
    live(next) {
      known = next;
      become('live');
    },
  };
  return self;
}
