import type { Erased, Gap, Message, SubscribeOptions, Subscription, SubscriptionEvents } from './api.ts';
import { Emitter } from './emitter.ts';
import { TidingsError, type Requests } from './requests.ts';
import { matches, placeOf, topicQuery } from './topics.ts';
import { pause, pauseAfter } from './waiting.ts';

/** How many messages of the stream wait while what came before them is read. Stops a long replay from filling the memory: what is beyond is read from the log, too. */
const HELD_MAX_MESSAGES = 1_000;
/** One page of what came before. */
const PAGE_MESSAGES = 500;

/** Names of events that are about the subscription: messages that are called so are heard as `any`. */
const OWN_NAMES = new Set(['any', 'gap', 'erased', 'error']);

/** A page of history. */
interface Page {
  readonly messages: readonly (Message & { readonly erased?: true })[];
  readonly cursor: string;
  readonly more: boolean;
  readonly gap?: Gap;
}

/** Takes the messages of a subscription, in order. */
export interface Consumer {
  /** @returns Whether it can take more now. */
  take(message: Message): boolean;
  /** Resolves when it can take more. */
  room(): Promise<void>;
  /** Whether it has messages that nobody got yet, and the id of the last one that somebody got. */
  readonly hasWaiting: boolean;
  readonly handed: string | undefined;
  /** Nothing comes any more. */
  end(): void;
}

/** Where a page begins. */
interface HistoryStart {
  readonly since?: string | undefined;
  readonly after?: string | undefined;
  readonly last?: number | undefined;
}

export interface SubscriptionDependencies {
  readonly requests: Requests;
  /** The place that the stream has reached. */
  readonly cursor: () => string | undefined;
  readonly changed: () => void;
  /** An error that the application does not listen to here. */
  readonly unheard: (error: Error) => void;
  readonly refused: (subscription: TopicSubscription, error: TidingsError) => void;
  readonly over: (subscription: TopicSubscription) => void;
}

/**
 * Messages of one topic or pattern, each once, in order. It is a reader with a place of its own. It reads history up to the place of the stream, and from there on takes what the stream
 * brings. Whoever cannot take what comes is behind again, and reads on from where it was.
 */
export class TopicSubscription implements Subscription {
  readonly topic: string;
  readonly #options: SubscribeOptions;
  readonly #dependencies: SubscriptionDependencies;
  readonly #events = new Emitter<Record<string, unknown>>();
  readonly #consumer: Consumer;
  readonly #end = new AbortController();
  /** `waiting`: the stream does not tell of the topic yet. */
  #state: 'waiting' | 'behind' | 'live' | 'refused' = 'waiting';
  /** What the stream brings up to this place is known already. */
  #known = 0;
  /** What the stream has brought while history is read; undefined where some of it is lacking. */
  #held: Message[] | undefined;
  /** The place where it began, and the one where reading goes on while it is behind; undefined where it did not begin at a place. */
  #origin: string | undefined;
  #reached: string | undefined;
  /** Counts the beginnings: an answer that comes after another beginning is dropped. */
  #run = 0;

  constructor(topic: string, options: SubscribeOptions, dependencies: SubscriptionDependencies, consumer?: Consumer) {
    this.topic = topic;
    this.#options = options;
    this.#origin = this.#reached = options.after;
    this.#dependencies = dependencies;
    this.#consumer = consumer ?? {
      take: (message) => {
        this.#hand(message);
        return true;
      },
      room: () => Promise.resolve(),
      hasWaiting: false,
      handed: undefined,
      end: () => undefined,
    };
  }

  on<Name extends keyof SubscriptionEvents<unknown>>(name: Name, listener: (value: SubscriptionEvents<unknown>[Name]) => void): () => void;
  on(name: string, listener: (message: Message<never>) => void): () => void;
  on(name: string, listener: (value: never) => void): () => void {
    return this.#events.on(name, listener as (value: unknown) => void);
  }

  unsubscribe(): void {
    if (this.isOver) return;
    this.#run++;
    this.#end.abort();
    this.#dependencies.over(this);
  }

  get isOver(): boolean {
    return this.#end.signal.aborted;
  }

  get isRefused(): boolean {
    return this.#state === 'refused';
  }

  /** Something is missing until the stream brings all of it: what came before, or the topic. */
  get isBehind(): boolean {
    return this.#state === 'behind' || this.#state === 'waiting';
  }

  /** Up to where all was handed out; undefined where that is nowhere yet, and it would begin anew. */
  get place(): string | undefined {
    if (this.isRefused) return undefined;
    if (this.#consumer.hasWaiting) return this.#consumer.handed ?? this.#origin;
    return this.#state === 'live' ? this.#dependencies.cursor() : this.#reached;
  }

  /** From now on the stream tells of the topic. */
  began(): void {
    if (this.#state === 'waiting') this.#begin();
  }

  /** The stream does not tell of it any more; it begins anew. */
  reset(): void {
    this.#run++;
    this.#state = 'waiting';
    this.#known = 0;
    this.#origin = this.#reached = this.#options.after;
  }

  refuse(error: Error): void {
    this.#run++;
    this.#state = 'refused';
    this.error(error);
    this.#dependencies.changed();
  }

  error(error: Error): void {
    if (!this.#events.emit('error', error)) this.#dependencies.unheard(error);
  }

  message(message: Message): void {
    if (this.#state === 'live') {
      if (placeOf(message.id) > this.#known && matches(this.topic, message.topic)) this.#deliver(message);
    } else if (this.#held !== undefined && matches(this.topic, message.topic)) {
      if (this.#held.length < HELD_MAX_MESSAGES) this.#held.push(message);
      else this.#held = undefined;
    }
  }

  gap(gap: Gap): void {
    // Numbers may begin lower. What was brought before belongs to what was lost, or history has it.
    this.#known = 0;
    this.#held = undefined;
    if (this.#state === 'waiting' || this.#state === 'refused') return;
    this.#events.emit('gap', gap);
    if (this.#options.getState !== undefined) this.#begin();
  }

  erased(erased: Erased): void {
    if (this.#state !== 'refused' && matches(this.topic, erased.topic)) this.#events.emit('erased', erased);
  }

  #begin(): void {
    const { since, after, last, getState } = this.#options;
    const run = ++this.#run;
    this.#held = undefined;
    if (getState !== undefined) {
      this.#fallBehind();
      void this.#readState(getState, run);
    } else if (since !== undefined || after !== undefined || last !== undefined) {
      void this.#catchUp({ since, after, last }, run);
    } else {
      this.#origin = this.#dependencies.cursor();
      this.#becomeLive(0);
    }
  }

  async #readState(getState: () => string | Promise<string>, run: number): Promise<void> {
    for (let failures = 0; run === this.#run;) {
      try {
        const after = await getState();
        if (run === this.#run) void this.#catchUp({ after }, run);
        return;
      } catch (error) {
        if (run !== this.#run) return;
        this.error(error instanceof Error ? error : new Error('getState failed', { cause: error }));
        await pause(pauseAfter(++failures), this.#end.signal);
      }
    }
  }

  /** Reads history up to the place of the stream. It ends only once nothing is lacking between what was read and what the stream brings. */
  async #catchUp(start: HistoryStart, run: number): Promise<void> {
    this.#reached = start.after;
    this.#fallBehind();
    let next = start;
    for (let failures = 0; run === this.#run;) {
      await this.#consumer.room();
      const held: Message[] = this.#held = [];
      const until = this.#dependencies.cursor()!;
      let page: Page;
      try {
        page = await this.#history(next, until);
        failures = 0;
      } catch (error) {
        if (run !== this.#run) return;
        if (isFinal(error)) return this.#dependencies.refused(this, error);
        await pause(pauseAfter(++failures), this.#end.signal);
        continue;
      }
      if (run !== this.#run) return;
      if (page.gap !== undefined) {
        this.#events.emit('gap', page.gap);
        if (run !== this.#run) return;
      }
      for (const message of page.messages) {
        if (message.erased === true) this.erased({ id: message.id, topic: message.topic });
        else this.#consumer.take(message);
        if (run !== this.#run) return;
      }
      next = { after: page.cursor };
      this.#reached = page.cursor;
      if (page.more || this.#held !== held) continue;
      this.#becomeLive(Math.max(placeOf(until), placeOf(page.cursor)));
      for (const message of held) this.message(message);
    }
  }

  async #history(start: HistoryStart, until: string): Promise<Page> {
    const query = topicQuery([this.topic]);
    for (const [name, value] of Object.entries({ ...start, until, limit: PAGE_MESSAGES })) if (value !== undefined) query.set(name, String(value));
    const answer = await this.#dependencies.requests.send(`/messages?${query.toString()}`, { signal: this.#end.signal });
    return await answer.json() as Page;
  }

  #deliver(message: Message): void {
    if (!this.#consumer.take(message)) void this.#catchUp({ after: message.id }, ++this.#run);
  }

  #hand(message: Message): void {
    if (!OWN_NAMES.has(message.event)) this.#events.emit(message.event, message);
    this.#events.emit('any', message);
  }

  #fallBehind(): void {
    this.#state = 'behind';
    this.#dependencies.changed();
  }

  #becomeLive(known: number): void {
    // What began before is over.
    this.#run++;
    this.#known = known;
    this.#held = undefined;
    this.#state = 'live';
    this.#dependencies.changed();
  }
}

/** What gets no better by asking again. An `until` that the log does not know is followed by a gap of the stream. A token that is refused is the stream's matter. */
function isFinal(error: unknown): error is TidingsError {
  return error instanceof TidingsError && error.status !== 401 && error.field !== 'until';
}
