import { setTimeout as sleep } from 'node:timers/promises';
import { check, missing, summarise, type Run, type StreamRecord } from './checker.ts';
import { ChangingStream } from './changing-stream.ts';
import { Publishers, readHistory, type Patience } from './fleet-publishers.ts';
import type { Random } from './fleet-random.ts';
import { RoamingStream } from './fleet-stream.ts';
import { Http } from './http.ts';
import type { Scope } from './temp.ts';

export interface LoadOptions {
  readonly urls: readonly string[];
  readonly random: Random;
  readonly publishers: number;
  readonly streams: number;
  /** After how many messages with their 201 another stream is cut, wherever it is. */
  readonly cutEvery: number;
  /** One request in so many is sent once, without a key. */
  readonly careless?: number;
  /** The longest pause of a publisher between two requests, for each publisher there is. Milliseconds. */
  readonly think?: number;
  readonly patience?: Patience;
  /** How many of the streams are WebSockets, where all instances know them; by default none. */
  readonly webSockets?: number;
  /** So many streams more change their topics all the time. */
  readonly changing?: number;
  /** Streams are cut by `cutEvery` alone, not at random bytes of each connection. */
  readonly calm?: boolean;
  /** How long the last messages may take to arrive. Milliseconds. */
  readonly arrival?: number;
}

/** By default, publishers leave the machine some room. Milliseconds. */
const THINK = 6;
/** One request in so many is a batch. */
const BATCHES = 6;
const BATCH_MAX = 8;

/** How long the last messages may take, where the options do not say. Milliseconds. */
const ARRIVAL_MS = 120_000;
/** How many change the topics of streams, the longest pause of each between two changes, and how long they wait for an answer. */
const CHANGERS = 4;
const CHANGE_PAUSE_MS = 200;
const CHANGE_WAIT_MS = 10_000;
/** Of so many cuts one is that of a stream whose topics change. */
const CHANGING_CUTS_FACTOR = 4;

const CITIES = ['bern', 'oslo', 'riga', 'rome', 'wien'];
const SUBJECTS = ['news', 'price', 'stock', 'orders.new'];
const TOPICS = CITIES.flatMap((city) => SUBJECTS.map((subject) => `shops.${city}.${subject}`));
/** Patterns that meet each other and the topics in every way: exact, one segment, the rest, everything. */
const PATTERNS = ['shops.*.news', 'shops.*.price', 'shops.oslo.*', 'shops.rome.>', 'shops.*.orders.new', '*.wien.stock', 'shops.*.*.new', '>'];

/** What streams and webhooks may ask for. */
export const NAMES: readonly string[] = [...TOPICS, ...PATTERNS.slice(0, -1)];

/** Spreads some evenly over all. */
function isOneOf(index: number, some: number, all: number): boolean {
  return Math.floor((index + 1) * some / all) > Math.floor(index * some / all);
}

/** Many publishers and many streams on some instances, until what was published has arrived. */
export class Load {
  readonly publishers: Publishers;
  readonly streams: RoamingStream[] = [];
  readonly changing: ChangingStream[] = [];
  readonly #t: Scope;
  readonly #options: LoadOptions;
  #running: Promise<unknown> | undefined;
  #changing: Promise<void> = Promise.resolve();
  #stopped = false;
  #count = 0;
  #cuts = 0;
  #changingCuts = 0;
  readonly #kept = new Map<string, string>();

  constructor(t: Scope, options: LoadOptions) {
    this.#t = t;
    this.#options = options;
    this.publishers = new Publishers(t, options.urls, options.random.fork(), options.patience);
  }

  /** Opens the streams; resolves when each of them has had its `$open`. */
  async open(): Promise<void> {
    const { streams, webSockets = 0, changing = 0, urls, random, calm } = this.#options;
    for (let index = 0; index < streams; index++) {
      const wants = choose(index, random);
      // Some ask for all there is: at the beginning, that is nothing.
      const after = index % 5 === 0 ? { after: 'start' } as const : {};
      this.streams.push(new RoamingStream(this.#t, { name: `stream ${index} (${wants.join(' ')})`, wants, urls, ...(calm === true ? {} : { random: random.fork() }), keep: (text) => this.#keep(text), ...after, transport: isOneOf(index, webSockets, streams) ? 'websocket' : undefined }, index));
    }
    for (let index = 0; index < changing; index++) {
      const wants = choose(index, random);
      this.changing.push(new ChangingStream(this.#t, { name: `changing stream ${index} (${wants.join(' ')} at first)`, wants, urls, keep: (text) => this.#keep(text) }));
    }
    await Promise.all(this.streams.map((stream) => stream.when(() => stream.isOpen, this.#options.arrival)));
    await Promise.all(this.changing.map((stream) => stream.when(() => stream.hasBegun, this.#options.arrival ?? ARRIVAL_MS)));
    // Reading it throws where one is not.
    void this.records;
  }

  start(): void {
    this.#running = Promise.all(Array.from({ length: this.#options.publishers }, (_, index) => this.#publishOn(index, this.#options.random.fork())));
    // Whoever waits for the end is told; until then it counts as seen to.
    this.#running.catch(() => undefined);
    if (this.changing.length > 0) this.#changing = this.#changeTopics(this.#options.random.fork());
  }

  /** Gives publishers and streams a credential: all requests from now on have it. */
  identify(headers: Readonly<Record<string, string>>): void {
    for (const client of [this.publishers, ...this.streams]) client.headers = headers;
  }

  /** Resolves when so many more messages than now have got their 201. */
  async more(count: number): Promise<void> {
    const reached = this.publishers.reached(this.publishers.acknowledged + count);
    await Promise.race([reached, this.#running?.then(() => reached)]);
  }

  /**
   * Publishes once more on every topic, so that whatever came twice before has come, and waits until all has arrived.
   * @param read Shows what is stored: where some are careless, more than was answered; where a log was lost, less.
   */
  async finish(read?: () => Promise<Pick<Run, 'history' | 'losses'>>): Promise<void> {
    this.#stopped = true;
    await Promise.all([this.#running, this.#changing]);
    for (const topic of TOPICS) await this.publishers.publish(topic, `the last of ${topic}`);
    for (const stream of this.streams) stream.calm();
    const run = { publications: this.publishers.notes, ...await read?.() };
    const awaited = missing({ ...run, streams: this.records });
    await Promise.all([...this.streams, ...this.changing].map((stream, index) => {
      let ids = awaited[index]!;
      let seen = 0;
      let changes = changesOf(stream);
      return stream.when(() => {
        // A change that it is told of only now says what it is owed: it would wait for messages that it no longer asks for.
        if (changesOf(stream) !== changes) {
          changes = changesOf(stream);
          ids = missing({ ...run, streams: [stream.record] })[0]!;
          seen = stream.entries.length;
        }
        for (; seen < stream.entries.length; seen++) ids.delete(stream.entries[seen]!.id);
        return ids.size === 0;
      }, this.#options.arrival ?? ARRIVAL_MS);
    }));
  }

  /** What was wrong, with the history that an instance shows. */
  async faults(url: string): Promise<string[]> {
    const history = await readHistory(new Http(this.#t, url));
    return summarise(check({ publications: this.publishers.notes, streams: this.records, history }));
  }

  /** What happened, for the one who reads the test's output. */
  get summary(): string {
    const sum = (count: (stream: RoamingStream) => number): number => this.streams.reduce((total, stream) => total + count(stream), 0);
    const { acknowledged, refused, replayed } = this.publishers;
    return `${acknowledged} messages, ${refused} requests sent again, ${replayed} replayed; ${this.streams.length} streams, `
      + `${sum(({ connections }) => connections)} connections, ${sum(({ messages }) => messages)} deliveries${this.changing.length === 0 ? '' : `; ${this.changing.length} streams whose topics changed ${this.changing.reduce((total, { changes }) => total + changes, 0)} times, ${this.changing.reduce((total, { connections }) => total + connections, 0)} connections`}`;
  }

  /** Streams that a browser would never have reopened, and why. */
  get gaveUp(): string[] {
    return this.streams.filter(({ gaveUp }) => gaveUp !== undefined).map(({ name, gaveUp }) => `${name}: ${gaveUp}`);
  }

  get records(): StreamRecord[] {
    return [...this.streams, ...this.changing].map(({ record }) => record);
  }

  async #publishOn(publisher: number, random: Random): Promise<void> {
    const { careless, think = THINK, publishers } = this.#options;
    while (!this.#stopped) {
      if (careless !== undefined && random.below(careless) === 0) {
        const { topic, text } = this.#item(publisher, random);
        await this.publishers.publishOnce(topic, text);
      } else if (random.below(BATCHES) === 0) {
        await this.publishers.publishBatch(Array.from({ length: 1 + random.below(BATCH_MAX) }, () => this.#item(publisher, random)));
      } else {
        const { topic, text } = this.#item(publisher, random);
        await this.publishers.publish(topic, text);
      }
      this.#cutSome();
      await sleep(random.below(think * publishers));
    }
  }

  /** One change after the other: an answer may take seconds while an instance is away. */
  async #changeTopics(random: Random): Promise<void> {
    const { urls } = this.#options;
    const https = urls.map((url) => new Http(this.#t, url, CHANGERS, CHANGE_WAIT_MS));
    await Promise.all(Array.from({ length: CHANGERS }, async () => {
      while (!this.#stopped) {
        const add = random.one(NAMES);
        const stream = random.one(this.changing);
        await stream.tryToChange(random.one(https), [add], stream.wants.filter((name) => name !== add && random.below(2) === 0));
        await sleep(random.below(CHANGE_PAUSE_MS));
      }
    }));
  }

  #keep(text: string): string {
    const kept = this.#kept.get(text);
    if (kept !== undefined) return kept;
    this.#kept.set(text, text);
    return text;
  }

  /** One after the other, so that each has its turn. */
  #cutSome(): void {
    for (; this.#cuts < this.#count / this.#options.cutEvery; this.#cuts++) this.streams[this.#cuts % this.streams.length]!.cut();
    if (this.changing.length > 0 && this.#cuts > this.#changingCuts * CHANGING_CUTS_FACTOR) this.changing[this.#changingCuts++ % this.changing.length]!.cut();
  }

  #item(publisher: number, random: Random): { readonly topic: string; readonly text: string } {
    return { topic: random.one(TOPICS), text: `${++this.#count} of publisher ${publisher}${'.'.repeat(random.below(60))}` };
  }
}

/** Half of them one topic, a quarter a pattern, a quarter many at once, some of which overlap. */
function choose(index: number, random: Random): string[] {
  if (index % 4 < 2) return [random.one(TOPICS)];
  if (index % 4 === 2) return [index % 100 === 2 ? '>' : random.one(PATTERNS.slice(0, -1))];
  return [random.one(TOPICS), random.one(TOPICS), random.one(PATTERNS.slice(0, -1)), ...(random.below(2) === 0 ? [random.one(TOPICS)] : [])];
}

/** By what it is noticed that a stream was told of a change of its topics. */
function changesOf(stream: RoamingStream | ChangingStream): string {
  return stream instanceof ChangingStream ? `${stream.record.changes?.length} ${stream.record.changes?.at(-1)?.after}` : '';
}
