import type { Delivery } from '../../src/delivery/delivery.ts';
import type { HistoryPage, HistoryRequest } from '../../src/delivery/long-polls.ts';
import type { StreamOptions } from '../../src/delivery/reader/stream-socket.ts';
import type { MessageLog } from '../../src/log/log.ts';
import type { Receipt } from '../../src/log/publisher/receipt.ts';
import type { StartOptions, StartRequest } from '../../src/log/history/start-position.ts';
import type { Start } from '../../src/model/gap.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import type { Draft } from '../../src/model/message.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Filter } from '../../src/model/topic.ts';
import type { Clock, Timer } from '../../src/runtime/clock.ts';
import { UNNAMED } from '../../src/runtime/sharing/fair-shares.ts';
import { StoreError, type IdempotencyKey } from '../../src/store/store.ts';
import type { MemoryStore } from '../support/memory-store.ts';
import { buildSpine } from '../support/spine.ts';
import { SimulatedBus, type Exchange } from './bus.ts';
import type { SimulatedSocket } from './socket.ts';
import { SimulatedStore } from './store.ts';
import type { Troubles } from './trouble.ts';
import type { Place, World } from './world.ts';

/** How much later than due a timer fires, and what comes after a turn of the event loop. Milliseconds. */
const TIMER_LAG_MS = 2;
const TURN_MS = 0.5;
/** Between two tries to open the log. Milliseconds. */
const OPEN_RETRY_MS = 200;
/** The time after which clients are told to come back. Milliseconds. */
const RETRY_MS = 300;

/** What the process of an instance is like. */
export interface Make {
  /** Memory for the newest messages. Bytes. */
  readonly tailBytes: number;
  /** What a write to a socket costs. Milliseconds. */
  writeMs: number;
  /** By how much the store's clock is wrong. Milliseconds. */
  clockMs: number;
  /** The log's level, and what a process that starts now understands. */
  level: number;
  /** How long messages are kept; 0: for ever. Milliseconds. */
  readonly retentionMs: number;
}

/** What is open between a client and an instance; told when the process ends. */
export interface Connection {
  lost(): void;
}

/** One process: the spine as `src/main.ts` puts it together, and the little that routes do between it and a connection. */
export class Instance implements Place {
  readonly number: number;
  readonly #understood: number;
  isGone = false;
  isFrozen = false;
  busyUntil = 0;
  readonly connections = new Set<Connection>();
  readonly #world: World;
  readonly #bus: SimulatedBus;
  readonly #make: Make;
  readonly #store: SimulatedStore;
  readonly #log: MessageLog;
  readonly #delivery: Delivery;
  /** What this turn of its event loop has taken so far. Milliseconds. */
  #spent = 0;
  #turnAt = 0;

  constructor(number: number, { world, log, troubles, exchange, make }: { world: World; log: MemoryStore; troubles: Troubles; exchange: Exchange; make: Make }) {
    this.number = number;
    this.#world = world;
    this.#bus = new SimulatedBus(exchange, number, this);
    this.#make = make;
    this.#understood = make.level;
    const clock = this.#clock();
    const store = new SimulatedStore({ log, world, troubles, instance: this, make });
    const spine = buildSpine({
      store, clock, bus: this.#bus,
      settings: { tailBytes: make.tailBytes, retentionMs: make.retentionMs, queueMessages: 50, queueBytes: 1_000_000, heartbeatMs: 400, stallMs: 3000, retryMinMs: RETRY_MS, retryMaxMs: RETRY_MS },
    });
    this.#store = store;
    this.#log = spine.log;
    this.#delivery = spine.delivery;
  }

  /** Whether it understands the log's level. */
  get understands(): boolean {
    return this.#understood >= this.#make.level;
  }

  /** What its event loop does takes time, and while it does one thing, nothing else happens. */
  #clock(): Clock {
    const chance = this.#world.chance(`clock ${this.number}`);
    return {
      monotonic: () => this.#time(),
      after: (milliseconds, task): Timer => ({ cancel: this.#world.at(this.#time() + milliseconds + chance.next() * TIMER_LAG_MS, this, task) }),
      soon: (task) => {
        // In the order of the calls, whatever else happens between.
        this.#turnAt = Math.max(this.#turnAt, this.#time() + chance.next() * TURN_MS);
        this.#world.at(this.#turnAt, this, task);
      },
    };
  }

  #time(): number {
    return Math.max(this.#world.now, this.busyUntil) + this.#spent;
  }

  settle(): void {
    this.busyUntil = this.#time();
    this.#spent = 0;
  }

  spend(): void {
    this.#spent += this.#make.writeMs;
  }

  async boot(): Promise<void> {
    for (;;) {
      try {
        const log = await this.#store.open();
        await this.#log.open(log, this.#delivery.fanout);
        break;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        await new Promise<void>((done) => void this.#world.after(OPEN_RETRY_MS, this, done));
      }
    }
    if (this.#make.retentionMs > 0) this.#log.retention.run();
    this.#bus.join('simulated', { instance: 'simulated', receive: (messages) => this.#log.tail.receive(messages), wake: () => void this.#log.tail.look(), told: () => undefined, toldUnproved: () => undefined, sealing: () => this.#log.sealing(), secretOf: (epoch) => this.#log.secretOf(epoch) });
  }

  /** `kill -9`, or the power: nothing of what it was about to do is done any more. */
  kill(): void {
    this.isGone = true;
    for (const connection of this.connections) connection.lost();
    this.connections.clear();
  }

  freeze(): void {
    this.isFrozen = true;
  }

  thaw(): void {
    this.isFrozen = false;
    this.#world.thawed(this);
  }

  /** SIGTERM: all streams are closed over so many milliseconds. */
  drain(milliseconds: number): void {
    this.#delivery.longPolls.drain();
    void this.#delivery.streams.drain(milliseconds);
  }

  publish(drafts: readonly Draft[], key: IdempotencyKey | undefined): Promise<Receipt> {
    return this.#log.publisher.publish(FULL_GRANT, drafts, key);
  }

  async page(request: HistoryRequest): Promise<HistoryPage> {
    if (!this.#log.starts.isReady) throw new Problem('unavailable', 'starting');
    return this.#delivery.longPolls.page(request);
  }

  /** A stream as `src/http/event-stream.ts` opens it. */
  async stream(socket: SimulatedSocket, filter: Filter, options: StreamOptions, wanted: StartRequest): Promise<void> {
    const start = this.#delivery.streams.hasRoomFor(() => UNNAMED) ? await this.#resolve(wanted, { filter, hasLeft: () => !socket.isOpen }) : undefined;
    if (!socket.isOpen) return;
    if (start === undefined || !this.#delivery.streams.makeRoom(() => UNNAMED)) {
      this.#delivery.streams.refuse(options, socket, 'full');
      return;
    }
    const reader = this.#delivery.streams.open(FULL_GRANT, filter, options, socket, start);
    socket.onDrain = () => this.#delivery.streams.drained(reader);
    socket.onChange = (wanted) => {
      if (!reader.isGone) this.#delivery.streams.changeFilter(reader, wanted);
    };
    socket.onClose = () => this.#delivery.streams.closed(reader);
  }

  async #resolve(wanted: StartRequest, options: StartOptions): Promise<Start | undefined> {
    if (!this.#log.starts.isReady) return undefined;
    try {
      return await this.#log.starts.resolve(wanted, options);
    } catch (error) {
      if (error instanceof StoreError) return undefined;
      throw error;
    }
  }
}
