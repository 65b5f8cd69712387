import { Redis } from 'ioredis';
import type { Address } from '../../config/redis-url.ts';
import { waitAtMost } from '../../runtime/clock.ts';
import { Dialer } from './dialer.ts';
import type { ServerDiscovery } from './discovery-contract.ts';
import { redactedReason } from './redacted-reason.ts';
import type { Conversation } from './reply-framing.ts';

/**
 * The first and the longest wait before reconnecting. Waits double, less a random part of up to half. Stop all instances from connecting at once to a Redis that
 * comes back.
 */
const REDIS_RECONNECT_FIRST_MS = 100;
const REDIS_RECONNECT_MAX_MS = 5_000;

/** How often a connection is probed. Stops a connection whose other end vanished without a word from looking alive. */
const REDIS_PING_INTERVAL_MS = 3_000;

/** How long a connection may owe an answer before it is torn down. Stops a connection that hangs from holding its unanswered commands. */
const REDIS_ANSWER_MAX_MS = 4_000;

/** How long setting up a connection may take. Stops a server that never finishes the handshake from being waited for. */
const REDIS_CONNECT_MAX_MS = 5_000;

/** How long `close` waits for answers to commands already sent. Stops a frozen Redis from delaying the end of the process. */
const REDIS_CLOSE_MAX_MS = 500;

export interface RedisConnectionOptions {
  readonly discovery: ServerDiscovery;
  /** The name of the connection in `CLIENT LIST`. */
  readonly name: string;
  /** The connection can be used. Called again after every reconnection. */
  readonly onReady: () => void;
  /** The connection cannot be used, and is being tried again. The reason holds no secret. */
  readonly onLost: (reason: string) => void;
}

/**
 * One connection to Redis that reconnects for ever by itself and queues nothing. A command that cannot be sent now is rejected at once.
 * A command that was not answered when the connection broke is rejected then, and not sent again.
 */
export class RedisConnection {
  readonly redis: Redis;
  readonly #discovery: ServerDiscovery;
  readonly #onReady: () => void;
  readonly #ping: NodeJS.Timeout;
  /** The server of the newest attempt. */
  #address: Address | undefined;
  /** Whether it leads to the right server, as far as discovery can tell. */
  #isRight = false;
  #failures = 0;
  #reason = 'the connection was closed';
  #closed: Promise<void> | undefined;

  constructor({ discovery, name, onReady, onLost }: RedisConnectionOptions) {
    this.#discovery = discovery;
    this.#onReady = onReady;
    const onDial = (address: Address): void => {
      this.#address = address;
    };
    const conversation = (): Conversation => ({ question: this.redis.commandQueue.peekFront()?.command.name.toLowerCase(), isSubscriber: this.redis.mode === 'subscriber' });
    const { isTls, ...user } = discovery.access;
    this.redis = new Redis({
      ...user,
      ...(isTls ? { tls: {} } : {}),
      Connector: class extends Dialer {
        constructor() {
          super({ discovery, onDial, conversation });
        }
      },
      connectionName: name,
      disableClientInfo: true,
      connectTimeout: REDIS_CONNECT_MAX_MS,
      // ioredis destroys the socket when it owes an answer and is silent for this long. commandTimeout would only reject the promise, and
      // leave the command in ioredis' queue.
      socketTimeout: REDIS_ANSWER_MAX_MS,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // Rejects unanswered commands as soon as the connection breaks. Otherwise ioredis keeps them until the next connection, and then
      // drops them without settling their promises.
      maxRetriesPerRequest: 0,
      autoResubscribe: false,
      // The check sends INFO, which may be forbidden; and Redis publishes while it loads its data.
      enableReadyCheck: false,
      retryStrategy: () => this.#reconnectDelay(),
    });
    this.redis.on('ready', () => void this.#verify());
    this.redis.on('error', (error: Error) => {
      this.#reason = redactedReason(error);
    });
    this.redis.on('close', () => {
      this.#isRight = false;
      if (this.#closed !== undefined) return;
      onLost(this.#reason);
      this.#reason = 'the connection was closed';
    });
    this.#ping = setInterval(() => this.#probe(), REDIS_PING_INTERVAL_MS);
  }

  get isReady(): boolean {
    return this.#isRight && this.#isOpen;
  }

  get #isOpen(): boolean {
    return this.redis.status === 'ready' && this.redis.stream.writable;
  }

  /** Resets the backoff: the connection does its work, so the next break is followed by a quick attempt. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Breaks a connection that is open but of no use, so that it is tried again. */
  fail(error: unknown): void {
    this.#reason = redactedReason(error);
    this.redis.stream.destroy();
  }

  /** Waits a moment for the answers to commands already sent, then releases the socket. */
  close(): Promise<void> {
    this.#closed ??= this.#release();
    return this.#closed;
  }

  async #release(): Promise<void> {
    clearInterval(this.#ping);
    if (this.#isOpen) await waitAtMost(REDIS_CLOSE_MAX_MS, this.redis.quit().then(ignore, ignore));
    // There is no socket before the first attempt, and no open one during the wait for the next.
    const stream: typeof this.redis.stream | undefined = this.redis.stream;
    const { promise, resolve } = Promise.withResolvers<void>();
    if (stream === undefined || stream.closed) resolve();
    else stream.once('close', resolve);
    this.redis.disconnect();
    await promise;
  }

  #probe(): void {
    // A missing answer needs no handler here: REDIS_ANSWER_MAX_MS tears the connection down.
    if (!this.#isOpen) return;
    this.redis.ping().then(ignore, ignore);
    void this.#verify();
  }

  /** Asks discovery, before the connection is used and every few seconds after that: a server that became the wrong one goes on answering. */
  async #verify(): Promise<void> {
    const { stream } = this.redis;
    const reason = this.#address === undefined ? undefined : await this.#discovery.reasonToLeave(this.redis, this.#address);
    if (this.#closed !== undefined || this.redis.stream !== stream || !this.#isOpen) return;
    if (reason !== undefined) this.fail(new Error(reason));
    else if (!this.#isRight) {
      this.#isRight = true;
      this.#onReady();
    }
  }

  /** Exponential backoff with jitter. */
  #reconnectDelay(): number {
    const longest = Math.min(REDIS_RECONNECT_MAX_MS, REDIS_RECONNECT_FIRST_MS * 2 ** Math.min(this.#failures++, 16));
    return longest * (0.5 + Math.random() / 2);
  }
}

function ignore(): void {
  // The connection's events tell how it is.
}
