import type { Connection, Erased, Gap, Message, Status, SubscribeOptions } from './api.ts';
import { placeOf } from './topics.ts';

/** The default of `limit`. Stops a page that is open for days from filling its memory. */
export const KEPT_MESSAGES = 100;
/** The largest `limit`. Each new message copies the list: bounds the time of that. */
const KEPT_MAX_MESSAGES = 10_000;

/** The content of a topic, for rendering. Immutable: the same object means the same content. */
export interface View<Data = unknown, State = undefined> {
  /** The newest messages, oldest first, at most `limit`. Erased messages are left out. */
  readonly messages: readonly Message<Data>[];
  /** The newest message. */
  readonly last: Message<Data> | undefined;
  /** The connection's status. */
  readonly status: Status;
  /** `initial`, after `reduce` has taken each message. */
  readonly state: State;
  /** The latest gap: messages may be missing. */
  readonly gap: Gap | undefined;
  /** The latest error, such as a refused topic. The next message clears it. */
  readonly error: Error | undefined;
}

export interface TopicViewOptions {
  readonly client: Connection;
  readonly topic: string;
  /** Where the subscription begins. */
  readonly start: Pick<SubscribeOptions, 'since' | 'after' | 'last'>;
  /** The most messages that the view keeps. */
  readonly limit: number;
  readonly initial: unknown;
}

/**
 * A topic as an external store, for React's `useSyncExternalStore`. The view is subscribed while it has listeners. It unsubscribes at the end of the turn in which the last one left: strict mode
 * takes a listener away and brings it back within a turn. A view that is subscribed to again later resumes after its last message.
 */
export class TopicView {
  /** Called once for each message. The rendering component sets it after each render. */
  reduce: ((state: unknown, message: Message) => unknown) | undefined;
  readonly #options: TopicViewOptions;
  readonly #listeners = new Set<() => void>();
  readonly #onServer: View<unknown, unknown>;
  #view: View<unknown, unknown>;
  /** The id or cursor up to which the view has all messages. */
  #reached: string | undefined;
  #leave: (() => void) | undefined;

  /** @throws RangeError `limit` is out of bounds. */
  constructor(options: TopicViewOptions) {
    const { client, limit, initial } = options;
    if (!Number.isInteger(limit) || limit < 0 || limit > KEPT_MAX_MESSAGES) throw new RangeError(`limit: must be a whole number from 0 to ${KEPT_MAX_MESSAGES}, and is ${limit}`);
    this.#options = options;
    this.#onServer = { messages: [], last: undefined, status: 'connecting', state: initial, gap: undefined, error: undefined };
    this.#view = { ...this.#onServer, status: client.status };
  }

  readonly read = (): View<unknown, unknown> => this.#view;

  /** The view for rendering on a server, and for hydration in the page. */
  readonly readOnServer = (): View<unknown, unknown> => this.#onServer;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    this.#leave ??= this.#join();
    return () => {
      this.#listeners.delete(listener);
      queueMicrotask(() => this.#end());
    };
  };

  #join(): () => void {
    const { client, topic, start } = this.#options;
    const subscription = client.subscribe(topic, this.#reached === undefined ? start : { after: this.#reached });
    const stops = [
      client.on('status', () => this.#change()),
      subscription.on('any', (message) => this.#take(message)),
      subscription.on('erased', (erased) => this.#erase(erased)),
      subscription.on('gap', (gap) => {
        this.#reached = gap.resumed;
        this.#change({ gap });
      }),
      subscription.on('error', (error) => this.#change({ error })),
    ];
    if (client.status !== this.#view.status) this.#change();
    return () => {
      for (const stop of stops) stop();
      subscription.unsubscribe();
    };
  }

  #end(): void {
    if (this.#listeners.size > 0) return;
    this.#leave?.();
    this.#leave = undefined;
  }

  #take(message: Message): void {
    // A connection with a `store`, or after a login, may resume at an earlier cursor: the view has these messages.
    if (this.#reached !== undefined && isUpTo(message.id, this.#reached)) return;
    this.#reached = message.id;
    const { limit } = this.#options;
    this.#change({ messages: limit === 0 ? [] : [...this.#view.messages, message].slice(-limit), last: message, error: undefined });
    if (this.reduce !== undefined) this.#change({ state: this.reduce(this.#view.state, message) });
  }

  #erase({ id, topic, through }: Erased): void {
    const isGone = (message: Message): boolean => message.id === id || (through !== undefined && message.topic === topic && isUpTo(message.id, through));
    const messages = this.#view.messages.filter((message) => !isGone(message));
    const { last } = this.#view;
    if (messages.length < this.#view.messages.length || (last !== undefined && isGone(last))) this.#change({ messages, last: last !== undefined && isGone(last) ? messages.at(-1) : last });
  }

  #change(parts: Partial<View<unknown, unknown>> = {}): void {
    this.#view = { ...this.#view, status: this.#options.client.status, ...parts };
    for (const listener of this.#listeners) listener();
  }
}

/** Whether an id has the same epoch as another id, and a number up to its number. */
function isUpTo(id: string, other: string): boolean {
  return epochOf(id) === epochOf(other) && placeOf(id) <= placeOf(other);
}

function epochOf(id: string): string {
  return id.slice(0, id.lastIndexOf('-'));
}
