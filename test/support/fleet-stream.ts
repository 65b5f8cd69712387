import { request, type ClientRequest } from 'node:http';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { WebSocket } from 'ws';
import type { Entry, StreamRecord } from './checker.ts';
import type { Random } from './fleet-random.ts';
import type { Scope } from './temp.ts';
import { Watchers } from './watchers.ts';

export interface RoamingOptions {
  readonly name: string;
  /** One topic or pattern is asked for by its path, several through `/events`. */
  readonly wants: readonly string[];
  /** The instances: each connection goes to the one after the last. */
  readonly urls: readonly string[];
  /** Where it begins, as in the query: `start`, or live from now. */
  readonly after?: 'start';
  /** A WebSocket, which comes back as an EventSource does; by default an event stream. */
  readonly transport?: 'websocket' | undefined;
  /** Decides where it is cut; without it, it is cut only from outside. */
  readonly random?: Random;
  /** Gives back an equal text that is kept already: in a long run a hundred streams write down the same. */
  readonly keep?: (text: string) => string;
}

/** Stops a wait for what never comes. Milliseconds. */
const WAIT_LIMIT = 120_000;

/** Before the server has said anything. Milliseconds. */
const FIRST_RETRY = 50;
/** Each connection lasts for a random number of bytes up to this; one in SHORT for a few only, which may end in its first event. */
const LIFE_BYTES = 8_000;
const SHORT_BYTES = 150;
const SHORT = 8;

/**
 * A client with the rules of a browser's EventSource (https://html.spec.whatwg.org/multipage/server-sent-events.html): when
 * its connection ends, or there is none, it comes back after the time it was told, with the last id; on any status but 200 it
 * gives up for good. It is cut at random bytes and goes to the next instance each time.
 */
export class RoamingStream {
  readonly entries: (Entry & { readonly at: number })[] = [];
  readonly #options: RoamingOptions;
  readonly #path: string;
  #lastEventId = '';
  #retry = FIRST_RETRY;
  #cursor: string | undefined;
  #openedAt = 0;
  #request: ClientRequest | undefined;
  #socket: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #random: Random | undefined;
  #stopped = false;
  readonly #watchers = new Watchers();
  /** How many connections were answered. */
  connections = 0;
  /** How often it was told to come back: `$busy`. */
  busy = 0;
  /** Why it will never come back; undefined while it would. */
  gaveUp: string | undefined;
  messages = 0;
  /** Sent with every connection from now on. */
  headers: Readonly<Record<string, string>> = {};

  constructor(t: Scope, options: RoamingOptions, first = 0) {
    this.#options = options;
    this.#random = options.random;
    const { wants, after } = options;
    const query = new URLSearchParams(after === undefined ? [] : [['after', after]]);
    if (wants.length === 1) this.#path = `/topics/${encodeURIComponent(wants[0]!)}/events?${query.toString()}`;
    else {
      for (const topic of wants) query.append('topic', topic);
      this.#path = `/events?${query.toString()}`;
    }
    t.teardown(() => this.stop());
    this.#connect(first);
  }

  get name(): string {
    return this.#options.name;
  }

  get record(): StreamRecord {
    if (this.#cursor === undefined) throw new Error(`${this.name} was never opened: ${this.gaveUp ?? `${this.connections} connections, ${this.busy} times $busy, nothing else`}`);
    return { name: this.name, wants: this.#options.wants, cursor: this.#cursor, openedAt: this.#openedAt, entries: this.entries, gaveUp: this.gaveUp };
  }

  get isOpen(): boolean {
    return this.#cursor !== undefined;
  }

  /**
   * Resolves when something holds that depends on what came in, when it has given up for good, or when it has taken too long:
   * what is missing then is for the checker to say.
   */
  when(holds: () => boolean, limit = WAIT_LIMIT): Promise<void> {
    return this.#watchers.when(() => holds() || this.gaveUp !== undefined, limit);
  }

  /** Cuts its connection, wherever it is. */
  cut(): void {
    this.#request?.destroy();
    this.#socket?.terminate();
  }

  /** From now on it is not cut by chance. */
  calm(): void {
    this.#random = undefined;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.cut();
  }

  #connect(attempt: number): void {
    const url = this.#options.urls[attempt % this.#options.urls.length]! + this.#path;
    const again = (): void => {
      if (this.#stopped || this.gaveUp !== undefined) return;
      this.#timer = setTimeout(() => this.#connect(attempt + 1), this.#retry);
    };
    if (this.#options.transport === 'websocket') this.#connectSocket(url, again);
    else this.#connectEvents(url, again);
  }

  #connectSocket(url: string, again: () => void): void {
    const cursor = this.#lastEventId === '' ? '' : `&lastEventId=${this.#lastEventId}`;
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}${cursor}`, { headers: this.headers, perMessageDeflate: false });
    this.#socket = socket;
    let left = this.#life();
    let isOver = false;
    socket.on('open', () => {
      this.connections++;
      left = this.#life();
    });
    socket.on('message', (data: Buffer) => {
      if (this.#random === undefined) left = Infinity;
      left -= data.length;
      // A frame that did not come whole is none.
      if (left > 0 && !isOver) this.#takeFrame(data.toString());
      else {
        isOver = true;
        socket.terminate();
      }
      this.#notify();
    });
    socket.on('unexpected-response', (_request, { statusCode = 0 }) => {
      if (statusCode >= 400 && statusCode < 500) this.#giveUp(`${statusCode} for a WebSocket`);
      socket.terminate();
    });
    socket.on('error', () => this.#notify()).on('close', again);
  }

  /** The same events, as a text frame has them: a message is told by its topic. */
  #takeFrame(text: string): void {
    const { id, topic, event, retryMs, data } = JSON.parse(text) as { readonly id?: string; readonly topic?: string; readonly event: string; readonly retryMs?: number; readonly data: unknown };
    if (retryMs !== undefined) this.#retry = retryMs;
    if (topic === undefined) this.#take({ id, event, data: JSON.stringify(data) });
    else if (this.#options.wants.length > 1) this.#take({ id, event: undefined, data: text });
    else this.#take({ id, event: undefined, data: typeof data === 'string' ? data : JSON.stringify(data) });
  }

  #connectEvents(url: string, again: () => void): void {
    const headers = { ...this.headers, accept: 'text/event-stream', ...(this.#lastEventId === '' ? {} : { 'last-event-id': this.#lastEventId }) };
    const outgoing = request(url, { agent: false, headers }, (response) => {
      if (response.statusCode !== 200 || !/^text\/event-stream(?:;|$)/.test(response.headers['content-type'] ?? '')) {
        this.#giveUp(`${response.statusCode} ${response.headers['content-type']}`);
        outgoing.destroy();
        return;
      }
      this.connections++;
      let left = this.#life();
      const decoder = new TextDecoder();
      const parser = createParser({
        onEvent: (event) => this.#take(event),
        onRetry: (retry) => {
          this.#retry = retry;
        },
        onError: (error) => this.#giveUp(`the format is broken: ${error.message}`),
      });
      response.on('data', (chunk: Buffer) => {
        if (this.#random === undefined) left = Infinity;
        parser.feed(decoder.decode(chunk.subarray(0, left), { stream: true }));
        left -= chunk.length;
        if (left <= 0) outgoing.destroy();
        this.#notify();
      });
      // How it ends makes no difference to an EventSource.
      response.on('error', () => this.#notify());
    });
    outgoing.on('error', () => this.#notify()).on('close', again).end();
    this.#request = outgoing;
  }

  #life(): number {
    if (this.#random === undefined) return Infinity;
    return 1 + this.#random.below(this.#random.below(SHORT) === 0 ? SHORT_BYTES : LIFE_BYTES);
  }

  #take({ event, id, data }: EventSourceMessage): void {
    if (id !== undefined) this.#lastEventId = id;
    switch (event) {
      case '$open': {
        if (this.#cursor !== undefined) return;
        const { cursor } = JSON.parse(data) as { readonly cursor: string | null };
        if (cursor === null) return;
        this.#cursor = cursor;
        this.#openedAt = performance.now();
        return;
      }
      case '$cursor':
        return;
      case '$busy':
        this.busy++;
        return;
      case '$gap':
        this.#cursor ??= id ?? '';
        this.#note(gapOf(id, data));
        return;
      case undefined:
      default:
        this.messages++;
        this.#note(this.#options.wants.length === 1 ? { kind: 'message', id: id ?? '', text: textOf(data) } : fromObject(id, data));
    }
  }

  #note(entry: Entry): void {
    const at = performance.now();
    if (entry.kind === 'gap') {
      this.entries.push({ ...entry, at });
      return;
    }
    const { keep = (text: string) => text } = this.#options;
    const { kind, id, text, topic } = entry;
    this.entries.push({ kind, id: keep(id), text: keep(text), ...(topic === undefined ? {} : { topic: keep(topic) }), at });
  }

  #giveUp(why: string): void {
    this.gaveUp ??= why;
    this.#notify();
  }

  #notify(): void {
    this.#watchers.tell();
  }
}

function gapOf(id: string | undefined, data: string): Entry {
  const { requested, reason } = JSON.parse(data) as { readonly requested: string | null; readonly reason: string };
  return { kind: 'gap', id: id ?? '', requested, reason };
}

/** Batches carry a text as a JSON string, and a stream of one topic hands it out as it was published. */
function textOf(data: string): string {
  return data.startsWith('"') ? String(JSON.parse(data)) : data;
}

/** What `/events` says of a message. Where its id is not the event's, it is no message that anyone published. */
function fromObject(eventId: string | undefined, data: string): Entry {
  const { id, topic, data: text } = JSON.parse(data) as { readonly id: string; readonly topic: string; readonly data: string };
  return { kind: 'message', id: eventId ?? '', text: id === eventId ? text : `the message of ${id}`, topic };
}
