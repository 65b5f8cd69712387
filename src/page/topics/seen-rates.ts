/** How busy topics were while the page was open: the service knows the rates of the last minute alone. */

/** How often rates are asked for. They are of a whole minute, and the service counts up to 10,000 messages for each answer. Milliseconds. */
export const RATES_EVERY_MS = 15_000;
/** Ten minutes. Stops a page that is open for days from filling the memory. */
export const RATE_MAX_VALUES = 40;
/** The topics that are kept. Beyond them the page forgets the topic that it heard of longest ago. */
export const RATE_MAX_ENTRIES = 1_000;

/** What `GET /topics?sort=rate` answers. */
export interface RatesAnswer {
  readonly topics: readonly { readonly topic: string; readonly rate?: number }[];
  /** There are more topics than these, which are the busiest. */
  readonly more: boolean;
}

const NONE: readonly number[] = [0];

export class SeenRates {
  /** The topic that was heard of last at the end. */
  readonly #courses = new Map<string, readonly number[]>();
  /** Topics whose rate the newest answers did not tell. */
  readonly #unknown = new Set<string>();
  #prefix: string | undefined;
  #at = 0;
  /** The newest answer told all topics that begin so: others had no message. */
  #complete: string | undefined;

  /** Whether rates of such topics are to be asked for again. @param now Milliseconds since 1970. */
  isDue(prefix: string, now = Date.now()): boolean {
    return prefix !== this.#prefix || now - this.#at >= RATES_EVERY_MS;
  }

  /** @param prefix All topics of the answer begin with it. */
  add({ topics, more }: RatesAnswer, prefix: string, now = Date.now()): void {
    this.#prefix = prefix;
    this.#at = now;
    const told = new Map(topics.map(({ topic, rate = 0 }) => [topic, rate] as const));
    this.#complete = more ? undefined : prefix;
    for (const topic of [...this.#courses.keys()]) {
      if (!topic.startsWith(prefix) || told.has(topic)) continue;
      if (more) this.#unknown.add(topic);
      else this.#push(topic, 0, false);
    }
    for (const [topic, rate] of told) this.#push(topic, rate, true);
  }

  /** Messages a second, the newest last; undefined where that is not known now. */
  course(topic: string): readonly number[] | undefined {
    if (this.#unknown.has(topic)) return undefined;
    return this.#courses.get(topic) ?? (this.#complete !== undefined && topic.startsWith(this.#complete) ? NONE : undefined);
  }

  #push(topic: string, rate: number, isHeard: boolean): void {
    const course = [...this.#courses.get(topic) ?? [], rate].slice(-RATE_MAX_VALUES);
    this.#unknown.delete(topic);
    if (isHeard) this.#courses.delete(topic);
    this.#courses.set(topic, course);
    if (this.#courses.size <= RATE_MAX_ENTRIES) return;
    const oldest = this.#courses.keys().next().value!;
    this.#courses.delete(oldest);
    this.#unknown.delete(oldest);
  }
}
