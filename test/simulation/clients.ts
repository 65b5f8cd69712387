import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { HistoryPage } from '../../src/delivery/long-polls.ts';
import type { StartRequest } from '../../src/log/history/start-position.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { parseId } from '../../src/model/position.ts';
import { Filter } from '../../src/model/topic.ts';
import { Budget, Hold } from '../../src/runtime/sharing/budget.ts';
import type { Connection, Instance } from './instance.ts';
import type { ClientRecord, Entry } from './record.ts';
import { SimulatedSocket, type Receiver } from './socket.ts';
import type { World } from './world.ts';

/** How long a request is on its way. Milliseconds. */
const REQUEST_MS = 5;
/** How long a client waits that found nobody. Milliseconds. */
const REFUSED_MS = 300;
/** How long a poll waits on the instance: longer than a simulation goes on when all is well, so that one that is not woken counts as one that got nothing. */
const POLL_WAIT_MS = 60_000;

/** Which instance answers a request: any that is there, as behind a load balancer. undefined: none is. */
export type Balancer = (chance: string) => Instance | undefined;

/** Where a client begins that has no id yet, as its URL says it. */
export type Beginning = { readonly kind: 'now' } | { readonly kind: 'start' } | { readonly kind: 'after'; readonly id: string } | { readonly kind: 'last'; readonly count: number };

abstract class Client {
  readonly record: ClientRecord;
  protected readonly world: World;
  protected readonly balance: Balancer;
  /** What it wants of its next connection. */
  protected filter: Filter;
  protected readonly beginning: Beginning;
  /** The last id it was handed; an event without one leaves it as it is. */
  protected lastId = '';

  constructor(name: string, { world, balance, wants, beginning }: { world: World; balance: Balancer; wants: readonly string[]; beginning: Beginning }) {
    this.record = { name, wants, entries: [] };
    this.world = world;
    this.balance = balance;
    this.filter = new Filter(wants);
    this.beginning = beginning;
    if (beginning.kind === 'after') this.note({ kind: 'open', id: beginning.id });
  }

  get name(): string {
    return this.record.name;
  }

  protected note(entry: Entry): void {
    this.record.entries.push({ ...entry, time: this.world.now });
  }

  /** A number of milliseconds below this. */
  protected within(milliseconds: number): number {
    return this.world.chance(this.name).next() * milliseconds;
  }

  /** The header wins over the query, which says for ever what it said first. */
  protected wanted(): StartRequest {
    if (this.lastId !== '') return { kind: 'after', position: parseId(this.lastId)! };
    return this.beginning.kind === 'after' ? { kind: 'after', position: parseId(this.beginning.id)! } : this.beginning;
  }

  abstract begin(): void;
  /** The connection breaks. */
  abstract cut(isHalfOpen: boolean): void;
  /** Asks for other topics on its open stream. */
  change(_wants: readonly string[]): void {
    // Who polls has none.
  }
  /** Reads, or does not. */
  stick(_isStuck: boolean): void {
    // Who polls has nothing that could fill up.
  }
}

/** A browser's EventSource: it comes back after the time it was told, with the last id it was handed by an event that was complete. */
export class Streamer extends Client implements Receiver {
  /** How much the network holds for it. Bytes. */
  readonly #capacity: number;
  readonly #form: 'data' | 'object';
  #socket: SimulatedSocket | undefined;
  #instance: Instance | undefined;
  #retryMs = REFUSED_MS;
  #isStuck = false;
  #chunks = '';
  readonly #parser = createParser({
    onEvent: (event) => this.#dispatch(event),
    onRetry: (milliseconds) => void (this.#retryMs = milliseconds),
    onError: (error) => this.note({ kind: 'strange', what: error.message }),
  });

  constructor(name: string, options: ConstructorParameters<typeof Client>[1] & { capacity: number }) {
    super(name, options);
    this.#capacity = options.capacity;
    this.#form = options.wants.length === 1 ? 'data' : 'object';
  }

  begin(): void {
    const instance = this.balance(this.name);
    if (instance === undefined) {
      this.#later(REFUSED_MS);
      return;
    }
    this.note({ kind: 'asked', id: this.lastId === '' ? undefined : this.lastId });
    this.#parser.reset();
    this.#chunks = '';
    const socket = new SimulatedSocket({ world: this.world, place: instance, receiver: this, capacity: this.#capacity, spend: () => instance.spend(), chance: this.world.chance(`network ${this.name}`) });
    socket.stick(this.#isStuck);
    this.#socket = socket;
    this.#instance = instance;
    instance.connections.add(socket);
    const wanted = this.wanted();
    this.world.after(this.within(REQUEST_MS), instance, () => {
      if (socket.isOpen) void instance.stream(socket, this.filter, { form: this.#form, control: true, chunked: true, lastChunk: false }, wanted);
    });
  }

  #later(milliseconds: number): void {
    this.world.after(milliseconds + this.within(milliseconds), undefined, () => this.begin());
  }

  receive(text: string): void {
    this.#chunks += text;
    for (;;) {
      const start = this.#chunks.indexOf('\r\n') + 2;
      if (start === 1) break;
      const length = Number.parseInt(this.#chunks.slice(0, start), 16);
      const rest = this.#chunks.slice(start);
      // A browser shows what there is of a chunk; an event counts only once it is whole, so that makes no difference here.
      if (rest.length < length + 2) break;
      this.#chunks = rest.slice(length + 2);
      this.#parser.feed(rest.slice(0, length));
    }
  }

  ended(): void {
    this.#socket = undefined;
    this.#later(this.#retryMs);
  }

  cut(isHalfOpen: boolean): void {
    this.#socket?.cut(isHalfOpen);
  }

  override stick(isStuck: boolean): void {
    this.#isStuck = isStuck;
    this.#socket?.stick(isStuck);
  }

  /** It learns from the stream whether it was done, and where. */
  override change(wants: readonly string[]): void {
    const socket = this.#socket;
    this.world.after(this.within(REQUEST_MS), this.#instance, () => {
      if (socket?.isOpen === true) socket.onChange(new Filter(wants));
    });
  }

  #dispatch({ event, id, data }: EventSourceMessage): void {
    if (id !== undefined) this.lastId = id;
    if (event === '$open') this.note({ kind: 'open', id });
    else if (event === '$cursor') this.note({ kind: 'cursor', id: id ?? '' });
    else if (event === '$topics') {
      const { topics } = JSON.parse(data) as { topics: readonly string[] };
      this.filter = new Filter(topics);
      this.note({ kind: 'topics', id: id ?? '', wants: topics });
    } else if (event === '$gap') {
      const { requested, reason } = JSON.parse(data) as { requested: string | null; reason: string };
      this.note({ kind: 'gap', requested, id: id ?? '', reason });
    } else if (event === undefined) {
      const message = this.#form === 'object' ? JSON.parse(data) as { data: string; topic: string } : { data, topic: undefined };
      this.note({ kind: 'message', id: id ?? '', text: message.data.split(' ')[0]!, topic: message.topic });
    } else if (event !== '$busy') this.note({ kind: 'strange', what: event });
  }
}

/** A client of the history that asks for what comes next, and waits for it: a long poll. */
export class Poller extends Client {
  #connection: (Connection & { readonly leave: () => void }) | undefined;

  begin(): void {
    const instance = this.balance(this.name);
    if (instance === undefined) {
      this.#later();
      return;
    }
    this.note({ kind: 'asked', id: this.lastId === '' ? undefined : this.lastId });
    const abort = new AbortController();
    let isGone = false;
    const connection = {
      leave: () => void this.world.after(this.within(REQUEST_MS), instance, () => {
        isGone = true;
        abort.abort();
      }),
      lost: () => {
        if (this.#connection !== connection) return;
        this.#connection = undefined;
        this.#later();
      },
    };
    this.#connection = connection;
    instance.connections.add(connection);
    const request = { grant: FULL_GRANT, filter: this.filter, start: this.wanted(), limit: 5, wait: POLL_WAIT_MS, signal: abort.signal, hold: new Hold(new Budget(Infinity)), hasLeft: () => isGone };
    this.world.after(this.within(REQUEST_MS), instance, () => {
      instance.page(request).then(
        (page) => this.world.after(this.within(REQUEST_MS), undefined, () => this.#answered(connection, page)),
        () => this.world.after(this.within(REQUEST_MS), undefined, connection.lost),
      ).finally(() => instance.connections.delete(connection));
    });
  }

  #answered(connection: Connection, { messages, cursor, gap }: HistoryPage): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    // Whoever asked from the oldest on, or for the newest, learns from the first page where that was.
    if (this.record.entries.every(({ kind }) => kind === 'asked')) {
      const [first] = messages;
      this.note({ kind: 'open', id: first === undefined ? cursor : `${first.epoch}-${first.seq - 1}` });
    }
    if (gap !== undefined) this.note({ kind: 'gap', requested: gap.requested, id: gap.resumed, reason: gap.reason });
    for (const message of messages) this.note({ kind: 'message', id: message.id, text: Buffer.from(message.data).toString().split(' ')[0]!, topic: message.topic });
    this.note({ kind: 'cursor', id: cursor });
    this.lastId = cursor;
    this.begin();
  }

  #later(): void {
    this.world.after(this.within(REFUSED_MS), undefined, () => this.begin());
  }

  cut(isHalfOpen: boolean): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.lost();
    if (!isHalfOpen) connection.leave();
  }
}
