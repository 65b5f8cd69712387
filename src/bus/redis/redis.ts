import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { readRedisUrl, type RedisLocation } from '../../config/redis-url.ts';
import type { Message } from '../../model/message.ts';
import type { Bus, BusListener, BusState } from '../bus.ts';
import { decode, encode, envelopeSize, SENDER_BYTES } from '../envelope.ts';
import { ClusterRoute } from './cluster.ts';
import { Connection, describe } from './connection.ts';
import { fixedRoute, type Route } from './discovery.ts';
import { SentinelRoute } from './sentinel.ts';

/** Above so many bytes a commit travels as "look at the head". Stops large messages from crossing Redis once for each instance, at the cost of the small ones behind them. */
const BUS_MESSAGE_BYTES = 1024 * 1024;

/** At most so many bytes are published and not yet answered. Stops a Redis that is slow, paused or vanished from filling the memory. */
const BUS_OUTSTANDING_BYTES = 8 * 1024 * 1024;

/** What a command costs in memory besides its bytes. An estimate, for the bound above only: many small commands fill it too. */
const COMMAND_BYTES = 1024;

export interface RedisBusOptions {
  /** One server, the sentinels of a master, or nodes of a cluster: see `readRedisUrl`. */
  readonly url: string;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/**
 * The bus of several instances: Redis pub/sub, on a channel that carries the log's own id, since pub/sub ignores the numbers
 * of databases. One connection publishes and one listens, so that a listener that Redis cuts off as too slow does not take
 * the publisher with it.
 */
export class RedisBus implements Bus {
  readonly #location: RedisLocation;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #sender = randomBytes(SENDER_BYTES);
  #channel = '';
  #route: Route | undefined;
  #publisher: Connection | undefined;
  #subscriber: Connection | undefined;
  #listening = false;
  /** Redis answers, but does not let us publish. */
  #refused = false;
  #outstanding = 0;
  /** What the log was told last. */
  #told: BusState | undefined;
  #closed = false;
  readonly #warned = new Set<string>();

  /** Throws when the URL is none of Redis; the text holds nothing of it. */
  constructor(options: RedisBusOptions) {
    this.#location = readRedisUrl(options.url);
    this.#logger = options.logger;
  }

  get state(): BusState {
    return this.#publisher?.isReady === true && this.#subscriber?.isReady === true && this.#listening && !this.#refused ? 'up' : 'degraded';
  }

  join(logId: string, listener: BusListener): void {
    this.#channel = `tidings:${logId}`;
    const route = routeTo(this.#location);
    const publisher = new Connection(route, 'tidings-publisher', {
      ready: () => {
        publisher.succeeded();
        this.#tell();
      },
      lost: (reason) => this.#tell(reason),
    });
    const subscriber = new Connection(route, 'tidings-subscriber', {
      ready: () => void this.#listen(subscriber, listener),
      lost: (reason) => {
        this.#listening = false;
        this.#tell(reason);
      },
    });
    subscriber.redis.on('messageBuffer', (channel: Buffer, payload: Buffer) => {
      if (!this.#closed && channel.toString() === this.#channel) this.#receive(payload, listener);
    });
    this.#route = route;
    this.#publisher = publisher;
    this.#subscriber = subscriber;
  }

  publish(messages: readonly Message[]): void {
    const publisher = this.#publisher;
    if (messages.length === 0 || this.#closed || publisher === undefined || !publisher.isReady) return;
    const size = envelopeSize(messages);
    const fits = size <= BUS_MESSAGE_BYTES;
    const cost = COMMAND_BYTES + (fits ? size : 0);
    // Invariant 6: nothing is queued for a bus that is away. The others find it at their next look at the log.
    if (this.#outstanding + cost > BUS_OUTSTANDING_BYTES) return;
    this.#outstanding += cost;
    publisher.redis.publish(this.#channel, encode(this.#sender, fits ? messages : [])).then(
      () => this.#answered(cost),
      (error: unknown) => this.#answered(cost, error),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#publisher?.close(), this.#subscriber?.close(), this.#route?.close?.()]);
  }

  #answered(cost: number, error?: unknown): void {
    this.#outstanding -= cost;
    // Any other error is of the connection, which tells for itself.
    this.#refused = error instanceof Error && error.name === 'ReplyError';
    this.#tell(error);
  }

  async #listen(subscriber: Connection, listener: BusListener): Promise<void> {
    try {
      await subscriber.redis.subscribe(this.#channel);
    } catch (error) {
      // Refused: a new connection tries again, later each time. If it broke meanwhile, that happens by itself.
      if (subscriber.isReady) subscriber.fail(error);
      return;
    }
    if (this.#closed || !subscriber.isReady) return;
    subscriber.succeeded();
    this.#listening = true;
    this.#tell();
    // Whatever was published while nobody listened here went past.
    listener.wake();
  }

  #receive(payload: Buffer, listener: BusListener): void {
    const envelope = decode(payload, this.#sender);
    switch (envelope.kind) {
      case 'own':
        return;
      case 'messages':
        return listener.receive(envelope.messages);
      case 'look':
        return listener.wake();
      case 'other-version':
        this.#warnOnce('Another version of Tidings, or something else, publishes on this bus: looking at the log instead');
        return listener.wake();
      case 'malformed':
        this.#warnOnce('A bus message was malformed and is left out');
    }
  }

  /** Says once that the bus went away and once that it came back, however often that is tried in between. */
  #tell(error?: unknown): void {
    const { state } = this;
    if (this.#closed || state === this.#told) return;
    if (state === 'up') this.#logger.info('The bus is up');
    // At the start it is not up yet, and nothing has gone wrong.
    else if (error === undefined) return;
    else this.#logger.warn({ reason: typeof error === 'string' ? error : describe(error) }, 'The bus is degraded: other instances learn of messages at their next look at the log');
    this.#told = state;
  }

  #warnOnce(text: string): void {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    this.#logger.warn(text);
  }
}

function routeTo(location: RedisLocation): Route {
  switch (location.kind) {
    case 'server': return fixedRoute(location.server, location.access);
    case 'sentinel': return new SentinelRoute(location.sentinels, location.sentinelAccess, location.master, location.access);
    case 'cluster': return new ClusterRoute(location.nodes, location.access);
  }
}
