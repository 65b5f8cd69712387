import { randomBytes } from 'node:crypto';
import { readRedisUrl, type RedisLocation } from '../../config/redis-url.ts';
import type { Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { Bus, BusListener, BusState } from '../bus.ts';
import { encode, envelopesOf, SENDER_BYTES, type Carried } from '../envelope.ts';
import { Incoming } from '../incoming.ts';
import { encodeNote } from '../note-envelope.ts';
import { ClusterDiscovery } from './cluster-discovery.ts';
import { RedisConnection } from './connection.ts';
import { fixedServer, type ServerDiscovery } from './discovery-contract.ts';
import { redactedReason } from './redacted-reason.ts';
import { SentinelDiscovery } from './sentinel-discovery.ts';

/**
 * The bus of several instances, over Redis pub/sub. Commits come in and leave as `PUBLISH` commands; messages of the channel come in and leave as
 * calls of the `BusListener`. The room finds the right server (`discovery-contract.ts`, `sentinel-discovery.ts`, `cluster-discovery.ts`), opens the sockets to it
 * (`dialer.ts`), and reconnects for ever (`connection.ts`). A Redis that is away, frozen or refuses us delays messages between instances, and nothing else.
 */

/** The most bytes that are published and not yet answered. Stops a Redis that is slow, paused or gone from filling the memory. */
const UNANSWERED_MAX_BYTES = 8 * 1024 * 1024;

/** An estimate of the memory of a command besides its envelope, so that many small commands reach the bound above too. */
const COMMAND_OVERHEAD_BYTES = 1024;

export interface RedisBusOptions {
  /** One server, the sentinels of a master, or nodes of a cluster: see `readRedisUrl`. */
  readonly url: string;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'busRefused'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Publishes each commit on a channel of Redis, and passes on the commits that others publish there. The channel's name carries the log's own id,
 * because pub/sub ignores the numbers of databases. One connection publishes and another subscribes: Redis cuts off a subscriber that reads
 * too slowly, and the publisher must survive that.
 */
export class RedisBus implements Bus {
  readonly #location: RedisLocation;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'busRefused'>;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #sender = randomBytes(SENDER_BYTES);
  #channel = '';
  /** Notes have a channel of their own, because older versions do not know them. */
  #noteChannel = '';
  /** Notes for this instance alone. */
  #ownChannel = '';
  #listener: BusListener | undefined;
  #incoming: Incoming | undefined;
  #discovery: ServerDiscovery | undefined;
  #publisher: RedisConnection | undefined;
  #subscriber: RedisConnection | undefined;
  #isSubscribed = false;
  /** Whether Redis answers but refuses our publishes. */
  #isRefused = false;
  #unansweredBytes = 0;
  #receivers: number | undefined;
  /** The state in the last log line. */
  #loggedState: BusState | undefined;
  #closed = false;

  /** Throws if the URL is not a Redis URL; the error repeats nothing of it. */
  constructor({ url, clock, counters, logger }: RedisBusOptions) {
    this.#location = readRedisUrl(url);
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
  }

  get state(): BusState {
    return this.#publisher?.isReady === true && this.#subscriber?.isReady === true && this.#isSubscribed && !this.#isRefused ? 'up' : 'degraded';
  }

  /** Undefined on a cluster, because a node counts only its own subscribers. */
  get receivers(): number | undefined {
    return this.#location.kind === 'cluster' || this.state !== 'up' ? undefined : this.#receivers;
  }

  join(logId: string, listener: BusListener): void {
    this.#channel = `tidings:${logId}`;
    this.#noteChannel = `${this.#channel}:notes`;
    this.#ownChannel = this.#channelOf(listener.instance);
    this.#listener = listener;
    const incoming = new Incoming({ listener, sender: this.#sender, server: 'Redis', clock: this.#clock, counters: this.#counters, logger: this.#logger });
    this.#incoming = incoming;
    const discovery = discoveryFor(this.#location);
    const publisher = new RedisConnection({
      discovery, name: 'tidings-publisher',
      onReady: () => {
        publisher.succeeded();
        this.#logState();
      },
      onLost: (reason) => this.#logState(reason),
    });
    const subscriber = new RedisConnection({
      discovery, name: 'tidings-subscriber',
      onReady: () => void this.#subscribe(subscriber, listener),
      onLost: (reason) => {
        this.#isSubscribed = false;
        this.#logState(reason);
      },
    });
    subscriber.redis.on('messageBuffer', (channel: Buffer, payload: Buffer) => {
      if (this.#closed) return;
      const name = channel.toString();
      if (name === this.#channel) incoming.commit(payload);
      else if (name === this.#noteChannel || name === this.#ownChannel) incoming.note(payload);
    });
    this.#discovery = discovery;
    this.#publisher = publisher;
    this.#subscriber = subscriber;
  }

  publish(messages: readonly Message[]): void {
    const keys = this.#incoming?.keys;
    if (messages.length === 0 || keys === undefined) return;
    for (const part of envelopesOf(messages, keys)) this.#send(part);
  }

  wake(): void {
    this.#send(undefined);
  }

  #send(carried: Carried | undefined): void {
    const publisher = this.#publisher;
    if (publisher !== undefined && !this.#closed && publisher.isReady) this.#dispatch(publisher, this.#channel, carried?.bytes ?? 0, () => encode(this.#sender, carried));
  }

  tell(note: string, to?: string, reached?: (listening: number) => void): void {
    const publisher = this.#publisher;
    const keys = this.#incoming?.keys;
    if (this.#closed || publisher === undefined || keys === undefined || !publisher.isReady) return;
    const bytes = encodeNote(note, this.#sender, keys, this.#listener!.sealing());
    if (bytes === undefined) return;
    if (to !== undefined) return this.#dispatch(publisher, this.#channelOf(to), bytes.length, () => bytes, this.#location.kind === 'cluster' ? undefined : reached);
    this.#dispatch(publisher, this.#noteChannel, bytes.length, () => bytes, (count) => void (this.#receivers = count));
  }

  #channelOf(instance: string): string {
    return `${this.#noteChannel}:${instance}`;
  }

  /** Invariant 6: drops the envelope if too much is unanswered. Other instances find its messages at their next look at the log. */
  #dispatch({ redis }: RedisConnection, channel: string, length: number, bytes: () => Buffer, reached?: (receivers: number) => void): void {
    const cost = COMMAND_OVERHEAD_BYTES + length;
    if (this.#unansweredBytes + cost > UNANSWERED_MAX_BYTES) return;
    this.#unansweredBytes += cost;
    redis.publish(channel, bytes()).then(
      (receivers) => {
        reached?.(receivers);
        this.#answered(cost);
      },
      (error: unknown) => this.#answered(cost, error),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#incoming?.stop();
    await Promise.all([this.#publisher?.close(), this.#subscriber?.close(), this.#discovery?.close()]);
  }

  #answered(cost: number, error?: unknown): void {
    this.#unansweredBytes -= cost;
    // Any other error belongs to the connection, which reports it itself.
    this.#isRefused = error instanceof Error && error.name === 'ReplyError';
    this.#logState(error);
  }

  async #subscribe(subscriber: RedisConnection, listener: BusListener): Promise<void> {
    try {
      await subscriber.redis.subscribe(this.#channel, this.#noteChannel, this.#ownChannel);
    } catch (error) {
      // Redis refused: a new connection tries again, later each time. A connection that broke meanwhile does so by itself.
      if (subscriber.isReady) subscriber.fail(error);
      return;
    }
    if (this.#closed || !subscriber.isReady) return;
    subscriber.succeeded();
    this.#isSubscribed = true;
    this.#logState();
    // This instance missed the messages published while it did not listen.
    listener.wake();
  }

  /** Logs a change of the state once, not each failed attempt. */
  #logState(error?: unknown): void {
    const { state } = this;
    if (this.#closed || state === this.#loggedState) return;
    if (state === 'up') this.#logger.info('Redis is up: other instances learn of messages at once');
    // While the first connections open, the bus is not up yet, and nothing has gone wrong.
    else if (error === undefined) return;
    else this.#logger.warn({ reason: typeof error === 'string' ? error : redactedReason(error) }, 'Redis cannot be used, so this instance is degraded: other instances learn of messages at their next look at the log');
    this.#loggedState = state;
  }
}

/** The discovery for pub/sub, where any node of a cluster will do. */
export function discoveryFor(location: RedisLocation): ServerDiscovery {
  switch (location.kind) {
    case 'server': return fixedServer(location.server, location.access);
    case 'sentinel': return new SentinelDiscovery(location);
    case 'cluster': return new ClusterDiscovery(location);
  }
}
