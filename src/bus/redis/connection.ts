import { Redis } from 'ioredis';
import type { Address } from '../../config/redis-url.ts';
import { waitAtMost } from '../../runtime/clock.ts';
import { Dialer } from './dialer.ts';
import type { ServerDiscovery } from './discovery-contract.ts';
import { redactedReason } from './redacted-reason.ts';
import type { Conversation } from './reply-framing.ts';

/**
 * The first and the longest wait before reconnecting. Each wait is twice the one before, less a random part of up to half. Stops all instances from connecting at
 * once to a Redis that comes back.
 */
const REDIS_RECONNECT_FIRST_MS = 100;
const REDIS_RECONNECT_MAX_MS = 5_000;

/** How often a connection is probed with PING. Stops a connection from looking alive after its server vanished. */
const REDIS_PING_INTERVAL_MS = 3_000;

/** A connection is destroyed if a command has no answer after this time. Stops commands from waiting for a server that hangs. */
const REDIS_ANSWER_MAX_MS = 4_000;

/** How long a connection may take to be set up. Stops the wait for a server that never finishes the handshake. */
const REDIS_CONNECT_MAX_MS = 5_000;

/** How long `close` waits for answers to commands already sent. Stops a frozen Redis from delaying the end of the process. */
const REDIS_CLOSE_MAX_MS = 500;

export interface RedisConnectionOptions {
  readonly discovery: ServerDiscovery;
  /** The name of the connection in `CLIENT LIST`. */
  readonly name: string;
  /** Called when the connection can be used, also after each reconnection. */
  readonly onReady: () => void;
  /** Called when the connection is lost. The reconnection has begun. The reason contains no secret. */
  readonly onLost: (reason: string) => void;
}

/**
 * One connection to Redis. It reconnects by itself, without an end, and queues nothing. A command that cannot be sent now is rejected at once.
 * When the connection breaks, its unanswered commands are rejected, and not sent again.
 */
export class RedisConnection {
  readonly redis: Redis;
  readonly #discovery: ServerDiscovery;
  readonly #onReady: () => void;
  readonly #ping: NodeJS.Timeout;
  /** The server of the latest attempt to connect. */
  #address: Address | undefined;
  /** Whether discovery has confirmed the server, such as the primary of a sentinel's group. */
  #isVerified = false;
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
      // ioredis destroys a socket that has an unanswered command and was silent for this long. `commandTimeout` would only reject the promise, and
      // leave the command in ioredis' queue.
      socketTimeout: REDIS_ANSWER_MAX_MS,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // Rejects unanswered commands as soon as the connection breaks. Otherwise ioredis keeps them until the next connection, and then
      // drops them without settling their promises.
      maxRetriesPerRequest: 0,
      autoResubscribe: false,
      // The check sends INFO, which an ACL may forbid. Nor is it needed: Redis publishes even while it loads its data.
      enableReadyCheck: false,
      retryStrategy: () => this.#reconnectDelay(),
    });
    this.redis.on('ready', () => void this.#verify());
    this.redis.on('error', (error: Error) => {
      this.#reason = redactedReason(error);
    });
    this.redis.on('close', () => {
      this.#isVerified = false;
      if (this.#closed !== undefined) return;
      onLost(this.#reason);
      this.#reason = 'the connection was closed';
    });
    this.#ping = setInterval(() => this.#probe(), REDIS_PING_INTERVAL_MS);
  }

  get isReady(): boolean {
    return this.#isVerified && this.#isOpen;
  }

  get #isOpen(): boolean {
    return this.redis.status === 'ready' && this.redis.stream.writable;
  }

  /** Resets the backoff: call it when the connection has done its work. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Destroys a connection that is open but of no use. It then reconnects. */
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
    // Before the first attempt there is no socket. During the wait before a later attempt, the socket is closed.
    const stream: typeof this.redis.stream | undefined = this.redis.stream;
    const { promise, resolve } = Promise.withResolvers<void>();
    if (stream === undefined || stream.closed) resolve();
    else stream.once('close', resolve);
    this.redis.disconnect();
    await promise;
  }

  #probe(): void {
    // A missing answer needs no handler here: after REDIS_ANSWER_MAX_MS ioredis destroys the socket.
    if (!this.#isOpen) return;
    this.redis.ping().then(ignore, ignore);
    void this.#verify();
  }

  /** Asks discovery whether this is still the right server: before the connection is used, and with each probe. A replaced primary goes on answering. */
  async #verify(): Promise<void> {
    const { stream } = this.redis;
    const reason = this.#address === undefined ? undefined : await this.#discovery.reasonToLeave(this.redis, this.#address);
    if (this.#closed !== undefined || this.redis.stream !== stream || !this.#isOpen) return;
    if (reason !== undefined) this.fail(new Error(reason));
    else if (!this.#isVerified) {
      this.#isVerified = true;
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
  // The events of the connection report its failures.
}
