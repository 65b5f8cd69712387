import type { ConnectOptions } from './api.ts';
import { environment } from './environment.ts';
import { placeOf } from './topics.ts';

/** How long after a message its place is kept at the latest. A page that is left keeps it at once. Milliseconds. */
const KEPT_AFTER_MS = 250;

/** How many topics keep their place though the page does not subscribe to them. Stops pages with ever new topics from filling the storage. */
const UNUSED_MAX_ENTRIES = 100;

/** How it is stored: the place that the stream has reached, the topics of which all was handed out up to it, and the places of the others. */
interface Places {
  readonly cursor: string;
  readonly topics: readonly string[];
  readonly behind?: Readonly<Record<string, string>> | null;
}

/** The stored text. */
export interface StoredCursorDependencies {
  readonly store: ConnectOptions['store'];
  /** Of the service: each has a place of its own. */
  readonly url: string;
  /** The place that the stream has reached; undefined where nothing is to be kept. */
  readonly cursor: () => string | undefined;
  /** A topic that is behind has a cursor of its own: a reload must not lose the messages that it lacks. */
  readonly subscriptions: Iterable<{ readonly topic: string; readonly place: string | undefined }>;
}

/** A place that survives a reload. Where storage is forbidden, as in private windows, none does. */
export interface StoredCursor {
  /** Where a topic goes on; undefined where it begins anew. */
  after(topic: string): string | undefined;
  /** The place has changed. */
  changed(): void;
  clear(): void;
  close(): void;
}

export function storedCursor({ store, url, cursor: reached, subscriptions }: StoredCursorDependencies): StoredCursor {
  // Even to ask for it is an error where it is forbidden.
  const storage = quietly(() => (store === 'local' ? environment.localStorage : store === 'session' ? environment.sessionStorage : typeof store === 'object' ? store : undefined));
  const key = `tidings:${url}`;
  /** The place of each topic as it was stored before this page. */
  let before = quietly(() => placesIn(JSON.parse(storage!.getItem(key)!) as Places));
  /** What this page has subscribed to. */
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
    // Another page may go on with these.
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
      if (storage) timer ??= setTimeout(keep, KEPT_AFTER_MS);
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

/** Of several subscriptions of a topic the one that lacks most counts: a message that comes twice is better than one that is lost. */
function placesOf(subscriptions: StoredCursorDependencies['subscriptions']): Map<string, string> {
  const places = new Map<string, string>();
  for (const { topic, place } of subscriptions) {
    const other = places.get(topic);
    if (place !== undefined && (other === undefined || placeOf(place) < placeOf(other))) places.set(topic, place);
  }
  return places;
}

/** @throws TypeError it is something else */
function placesIn({ cursor, topics, behind }: Places): Map<string, string> {
  const places = [...Object.entries(behind ?? {}), ...topics.map((topic): [string, string] => [topic, cursor])];
  return new Map(places.filter(([, place]) => typeof place === 'string'));
}

/** Storage may be forbidden or full, and hold what somebody else put there: then nothing is remembered. */
function quietly<Result>(task: () => Result): Result | undefined {
  try {
    return task();
  } catch {
    return undefined;
  }
}
