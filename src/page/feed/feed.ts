import type { Connection, Subscription } from '../../client/api.ts';
import { connect, type Status } from '../../client/client.ts';
import { BASE, type Api } from '../api.ts';
import { beginning } from './beginning.ts';
import { FeedLog } from './feed-log.ts';
import { tappedFetch } from './stream-tap.ts';

/** The watched topics, and the start. */
export interface FeedWish {
  readonly topics: readonly string[];
  /** `now`, `start`, `last:20`, or `since:10m`. */
  readonly from: string;
}

/** The page's one stream. It goes on while other views are shown. */
export class Feed {
  readonly wish: FeedWish;
  readonly log: FeedLog;
  /** Whether it is watched with a key or token that the reader gave. */
  readonly hasToken: boolean;
  #status: Status = 'connecting';
  readonly #connection: Connection;
  readonly #listeners = new Set<() => void>();
  #isTelling = false;
  #isClosed = false;

  constructor(api: Api, wish: FeedWish) {
    this.wish = wish;
    this.hasToken = api.token !== undefined;
    this.log = new FeedLog(() => this.#changed());
    const connection = this.#connection = connect(BASE, { getToken: () => api.token ?? null, fetch: tappedFetch((note) => this.#isClosed || this.log.note(note)) });
    connection.on('status', (status) => {
      this.#status = status;
      this.#changed();
    });
    connection.on('error', (error) => this.log.note({ name: 'error', text: error.message, tone: 'bad' }));
    for (const topic of wish.topics) this.#subscribe(topic);
  }

  get status(): Status {
    return this.#status;
  }

  /** @returns Takes the listener away. It is called once for each picture that the browser draws, at most. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#isClosed = true;
    this.#connection.close();
  }

  #subscribe(topic: string): void {
    const subscription: Subscription = this.#connection.subscribe(topic, beginning(this.wish.from));
    subscription.on('any', (message) => this.log.message(message));
    subscription.on('gap', ({ reason, requested, resumed }) => this.log.note({ name: '$gap', text: `Messages may be missing (${reason}): asked from ${requested ?? 'nowhere'}, goes on at ${resumed}.`, tone: 'warn' }));
    subscription.on('erased', (erased) => this.log.erase(erased));
    subscription.on('error', (error) => this.log.note({ name: 'error', text: `${topic}: ${error.message}`, tone: 'bad' }));
  }

  #changed(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    requestAnimationFrame(() => {
      this.#isTelling = false;
      for (const listener of this.#listeners) listener();
    });
  }
}
