import type { ConnectOptions, CursorStore } from './api.ts';
import { environment } from './environment.ts';

/** How long after a message its place is kept at the latest. A page that is left keeps it at once. Milliseconds. */
const KEPT_AFTER_MS = 250;

/** How many topics keep their place though the page does not subscribe to them. Stops pages with ever new topics from filling the storage. */
const UNUSED_MAX_ENTRIES = 100;

/** The place that the stream has reached, and the topics of which all was handed out up to it. A topic that is behind has a place of its own: a reload must not lose what it lacks. */
export interface Place {
  readonly cursor: string;
  readonly topics: readonly string[];
  readonly behind: Readonly<Record<string, string>>;
}

export interface StoredCursorDependencies {
  readonly store: ConnectOptions['store'];
  /** Of the service: each has a place of its own. */
  readonly url: string;
  readonly place: () => Place | undefined;
}

/** A place that survives a reload. Where storage is forbidden, as in private windows, none does. */
export class StoredCursor {
  readonly #store: CursorStore | undefined;
  readonly #key: string;
  readonly #place: () => Place | undefined;
  /** What was stored before this page. */
  #before: Place | undefined;
  /** What this page has subscribed to. */
  readonly #asked = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ store, url, place }: StoredCursorDependencies) {
    this.#store = storeOf(store);
    this.#key = `tidings:${url}`;
    this.#place = place;
    this.#before = this.#read();
    if (this.#store !== undefined) environment.addEventListener?.('pagehide', this.#keep);
  }

  /** Where a topic goes on; undefined where it begins anew. */
  after(topic: string): string | undefined {
    this.#asked.add(topic);
    return this.#placeBefore(topic);
  }

  #placeBefore(topic: string): string | undefined {
    const before = this.#before;
    if (before === undefined) return undefined;
    return Object.hasOwn(before.behind, topic) ? before.behind[topic] : before.topics.includes(topic) ? before.cursor : undefined;
  }

  /** The place has changed. */
  changed(): void {
    if (this.#store !== undefined) this.#timer ??= setTimeout(this.#keep, KEPT_AFTER_MS);
  }

  clear(): void {
    this.#before = undefined;
    this.#stopTimer();
    quietly(() => this.#store?.removeItem(this.#key));
  }

  close(): void {
    this.#keep();
    environment.removeEventListener?.('pagehide', this.#keep);
  }

  readonly #keep = (): void => {
    this.#stopTimer();
    const place = this.#place();
    if (place !== undefined) quietly(() => this.#store?.setItem(this.#key, JSON.stringify({ ...place, behind: { ...this.#unused(), ...place.behind } })));
  };

  /** Another page may go on with these. */
  #unused(): Record<string, string> {
    const { topics = [], behind = {} } = this.#before ?? {};
    const unused = [...Object.keys(behind), ...topics].filter((topic) => !this.#asked.has(topic));
    return Object.fromEntries(unused.slice(-UNUSED_MAX_ENTRIES).map((topic) => [topic, this.#placeBefore(topic)!]));
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #read(): Place | undefined {
    const text = quietly(() => this.#store?.getItem(this.#key));
    const place = typeof text === 'string' ? quietly(() => JSON.parse(text) as Partial<Place> | null) : undefined;
    if (typeof place?.cursor !== 'string' || !Array.isArray(place.topics)) return undefined;
    return { cursor: place.cursor, topics: place.topics, behind: typeof place.behind === 'object' && place.behind !== null ? place.behind : {} };
  }
}

function storeOf(store: ConnectOptions['store']): CursorStore | undefined {
  if (typeof store === 'object') return store;
  // Even to ask for it is an error where it is forbidden.
  return quietly(() => (store === 'local' ? environment.localStorage : store === 'session' ? environment.sessionStorage : undefined));
}

/** Storage may be forbidden or full, and hold what somebody else put there: then nothing is remembered. */
function quietly<Result>(task: () => Result): Result | undefined {
  try {
    return task();
  } catch {
    return undefined;
  }
}
