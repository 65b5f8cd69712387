import type { ConnectOptions } from './api.ts';
import { environment } from './environment.ts';
import { placeOf } from './topics.ts';

/** The longest delay between a message and the storing of its cursor. A page that is left stores it at once. Milliseconds. */
const STORED_AFTER_MS = 250;

/** The most stored cursors of topics that the page does not subscribe to. Stops pages with ever new topics from filling the storage. */
const UNUSED_MAX_ENTRIES = 100;

/** The stored JSON: the stream's cursor, the topics whose cursor it is, and the cursors of the topics that are behind it. */
interface Places {
  readonly cursor: string;
  readonly topics: readonly string[];
  readonly behind?: Readonly<Record<string, string>> | null;
}

export interface StoredCursorDependencies {
  readonly store: ConnectOptions['store'];
  /** The URL of the service, a part of the storage key. */
  readonly url: string;
  /** The stream's cursor; undefined if nothing is to be stored. */
  readonly cursor: () => string | undefined;
  /** `place` is a subscription's own cursor. It may be behind the stream's: a reload must not lose the messages between. */
  readonly subscriptions: Iterable<{ readonly topic: string; readonly place: string | undefined }>;
}

/** Cursors that survive a reload. Without storage, as in some private windows, every method does nothing. */
export interface StoredCursor {
  /** The cursor of a topic that was stored before the reload; undefined if there is none. */
  after(topic: string): string | undefined;
  /** A cursor has changed: stores it soon. */
  changed(): void;
  clear(): void;
  close(): void;
}

export function storedCursor({ store, url, cursor: reached, subscriptions }: StoredCursorDependencies): StoredCursor {
  // If the page may not use storage, even reading the property throws.
  const storage = quietly(() => (store === 'local' ? environment.localStorage : store === 'session' ? environment.sessionStorage : typeof store === 'object' ? store : undefined));
  const key = `tidings:${url}`;
  /** The cursor of each topic as it was stored before this page. */
  let before = quietly(() => placesIn(JSON.parse(storage!.getItem(key)!) as Places));
  /** The topics that this page has subscribed to. */
  const asked = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const stopTimer = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  const keep = (): void => {
    stopTimer();
    const cursor = reached();
    if (cursor === undefined) return;
    // Keep the cursors of other topics: another page may resume at them.
    const unused = [...before ?? []].filter(([topic]) => !asked.has(topic)).slice(-UNUSED_MAX_ENTRIES);
    const places = [...placesOf(subscriptions)];
    const behind = Object.fromEntries([...unused, ...places.filter(([, place]) => place !== cursor)]);
    const kept: Places = { cursor, topics: places.filter(([, place]) => place === cursor).map(([topic]) => topic), behind };
    quietly(() => storage?.setItem(key, JSON.stringify(kept)));
  };
  if (storage) environment.addEventListener?.('pagehide', keep);

  return {
    after(topic) {
      asked.add(topic);
      return before?.get(topic);
    },
    changed() {
      if (storage) timer ??= setTimeout(keep, STORED_AFTER_MS);
    },
    clear() {
      before = undefined;
      stopTimer();
      quietly(() => storage?.removeItem(key));
    },
    close() {
      keep();
      environment.removeEventListener?.('pagehide', keep);
    },
  };
}

/** The cursor of each topic. Of several subscriptions to one topic, the lowest cursor counts: a repeated message is better than a lost one. */
function placesOf(subscriptions: StoredCursorDependencies['subscriptions']): Map<string, string> {
  const places = new Map<string, string>();
  for (const { topic, place } of subscriptions) {
    const other = places.get(topic);
    if (place !== undefined && (other === undefined || placeOf(place) < placeOf(other))) places.set(topic, place);
  }
  return places;
}

/** @throws TypeError if the stored JSON has another form */
function placesIn({ cursor, topics, behind }: Places): Map<string, string> {
  const places = [...Object.entries(behind ?? {}), ...topics.map((topic): [string, string] => [topic, cursor])];
  return new Map(places.filter(([, place]) => typeof place === 'string'));
}

/** Returns undefined if the task throws: storage may be forbidden or full, or have a foreign value. */
function quietly<Result>(task: () => Result): Result | undefined {
  try {
    return task();
  } catch {
    return undefined;
  }
}
