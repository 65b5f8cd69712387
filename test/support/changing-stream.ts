import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { askToChange, type Changed, type Handle } from './changes.ts';
import type { Entry, StreamRecord } from './checker.ts';
import type { Http } from './http.ts';
import { numberOf } from './log-ids.ts';
import type { Scope } from './temp.ts';
import { Watchers } from './watchers.ts';

export interface ChangingStreamOptions {
  readonly name: string;
  readonly wants: readonly string[];
  /** The instances: each connection goes to the one after the last. */
  readonly urls: readonly string[];
  /** Gives back an equal text that is kept already. */
  readonly keep: (text: string) => string;
}

/** Before it comes back, as long as it is told nothing. Milliseconds. */
const RETRY = 20;

/**
 * A client that changes the topics of its open stream, and keeps to the rules of docs/streams.md: when its connection breaks it opens the next one itself, with the topics that `$topics` told it last and its last id.
 */
export class ChangingStream {
  readonly entries: (Entry & { readonly at: number })[] = [];
  readonly #options: ChangingStreamOptions;
  /** What `$topics` told it, and what it was answered. */
  #told: readonly { readonly after: string; readonly wants: readonly string[] }[] = [];
  readonly #answered: Changed[] = [];
  #wants: readonly string[];
  #handle: Handle | undefined;
  #lastId = '';
  #cursor: string | undefined;
  #openedAt = 0;
  #connection = 0;
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isPaused = false;
  /** Whether answers may be lost, or come in another order than the changes were made: then only what `$topics` said counts. */
  #isUnsure = false;
  #retry = RETRY;
  readonly #watchers = new Watchers();
  gaveUp: string | undefined;

  constructor(t: Scope, options: ChangingStreamOptions) {
    this.#options = options;
    this.#wants = options.wants;
    t.teardown(() => this.stop());
    this.#connect();
  }

  /** Whether it has begun, now or before. */
  get hasBegun(): boolean {
    return this.#cursor !== undefined;
  }

  /** Whether it can be changed now. */
  get isOpen(): boolean {
    return this.#handle !== undefined;
  }

  get connections(): number {
    return this.#connection;
  }

  get wants(): readonly string[] {
    return this.#wants;
  }

  get changes(): number {
    return this.#answered.length;
  }

  /** Of a stream that was never cut the answers tell what it wants where; what `$topics` said has to be the same. */
  get record(): StreamRecord {
    const { name, wants } = this.#options;
    if (this.#cursor === undefined) throw new Error(`${name} was never opened: ${this.gaveUp ?? `${this.#connection} connections`}`);
    const changes = this.#connection === 1 && !this.#isUnsure ? this.#answered.map(({ topics, cursor }) => ({ after: cursor, wants: topics })) : this.#told;
    return { name, wants, changes, cursor: this.#cursor, openedAt: this.#openedAt, entries: this.entries, gaveUp: this.gaveUp };
  }

  /** Whether it was told of its last change. */
  get isTold(): boolean {
    const last = this.#answered.at(-1);
    return this.#connection > 1 || last === undefined || last.topics.toSorted().join() === this.#wants.toSorted().join();
  }

  /** Of what `$topics` said, what no answer said, on the connections that held. */
  get untrue(): readonly string[] {
    if (this.#connection > 1) return [];
    return this.#told.filter(({ after, wants }) => !this.#answered.some(({ topics, cursor }) => cursor === after && topics.join() === wants.join())).map(({ after }) => after);
  }

  async change(http: Http, add: readonly string[], remove: readonly string[]): Promise<void> {
    const [handle, connection] = [this.#handle, this.#connection];
    if (handle === undefined) return;
    const { status, body } = await askToChange(http, handle, { add, remove });
    // Its connection broke, and the instance has noticed.
    if (status === 404 && (this.#connection > connection || this.#handle !== handle)) return;
    if (status !== 200) throw new Error(`PATCH: ${status} ${body}`);
    this.#answered.push(JSON.parse(body) as Changed);
  }

  /** Asks for other topics while things go wrong. Whatever the answer is, or where none comes, `$topics` says whether it was done. */
  async tryToChange(http: Http, add: readonly string[], remove: readonly string[]): Promise<void> {
    if (this.#handle === undefined) return;
    this.#isUnsure = true;
    const answer = await askToChange(http, this.#handle, { add, remove }).catch((error: unknown) => {
      if (!(error instanceof Error)) throw error;
    });
    if (answer?.status === 200) this.#answered.push(JSON.parse(answer.body) as Changed);
    else if (answer !== undefined && answer.status !== 404 && answer.status < 500) this.gaveUp ??= `PATCH: ${answer.status} ${answer.body}`;
  }

  cut(): void {
    this.#request?.destroy();
  }

  pause(): void {
    this.#isPaused = true;
    this.#response?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#response?.resume();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.cut();
  }

  /** Resolves when something holds that depends on what came in, or never will. */
  when(holds: () => boolean, limit: number): Promise<void> {
    return this.#watchers.when(() => holds() || this.gaveUp !== undefined, limit);
  }

  #connect(): void {
    const query = new URLSearchParams([...this.#wants.map((topic): [string, string] => ['topic', topic]), ['lastEventId', this.#lastId]]);
    const url = `${this.#options.urls[this.#connection++ % this.#options.urls.length]!}/events?${query.toString()}`;
    const outgoing = request(url, { agent: false, headers: { accept: 'text/event-stream' } }, (response) => {
      if (response.statusCode !== 200) {
        this.gaveUp = String(response.statusCode);
        outgoing.destroy();
        this.#notify();
        return;
      }
      this.#response = response;
      if (this.#isPaused) response.pause();
      const decoder = new TextDecoder();
      const parser = createParser({
        onEvent: (event) => this.#take(event),
        onRetry: (retry) => {
          this.#retry = retry;
        },
      });
      response.on('data', (chunk: Buffer) => {
        parser.feed(decoder.decode(chunk, { stream: true }));
        this.#notify();
      });
      response.on('error', () => this.#notify());
    });
    outgoing.on('error', () => this.#notify()).on('close', () => {
      this.#handle = undefined;
      if (!this.#isStopped && this.gaveUp === undefined) this.#timer = setTimeout(() => this.#connect(), this.#retry);
    }).end();
    this.#request = outgoing;
  }

  #take({ event, id = '', data }: EventSourceMessage): void {
    if (id !== '') this.#lastId = id;
    const { keep } = this.#options;
    switch (event) {
      case '$open': {
        const { cursor, stream } = JSON.parse(data) as { readonly cursor: string | null; readonly stream: Handle };
        this.#handle = stream;
        if (this.#cursor !== undefined || cursor === null) return;
        this.#cursor = cursor;
        this.#openedAt = performance.now();
        return;
      }
      case '$topics': {
        const { topics, cursor } = JSON.parse(data) as Changed;
        this.#wants = topics;
        this.#told = [...this.#told, { after: cursor, wants: topics }];
        return;
      }
      case '$gap':
        this.entries.push({ kind: 'gap', id, ...JSON.parse(data) as { readonly requested: string | null; readonly reason: string }, at: performance.now() });
        // Changes after it were made in a log that was lost: what follows is asked for by the newest of them.
        if (this.#told.some(({ after }) => numberOf(after) > numberOf(id))) this.#told = [...this.#told.filter(({ after }) => numberOf(after) <= numberOf(id)), { after: id, wants: this.#wants }];
        return;
      case undefined: {
        const message = JSON.parse(data) as { readonly id: string; readonly topic: string; readonly data: string };
        this.entries.push({ kind: 'message', id: keep(id), text: message.id === id ? keep(message.data) : `the message of ${message.id}`, topic: keep(message.topic), at: performance.now() });
        return;
      }
      default:
    }
  }

  #notify(): void {
    this.#watchers.tell();
  }
}
