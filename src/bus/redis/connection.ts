import { Redis } from 'ioredis';
import type { Address } from '../../config/redis-url.ts';
import { Dialer } from './dialer.ts';
import type { Route } from './discovery.ts';

/** The wait before the first and at most between two attempts to connect: milliseconds. Stop a Redis that comes back from being met by every instance at once, again and again. */
const RETRY_FIRST = 100;
const RETRY_LONGEST = 5_000;

/** How often a connection is asked whether it still lives: milliseconds. Stops one whose other end vanished without a word from looking alive. */
const PING_INTERVAL = 3_000;

/** How long a connection may owe an answer before it is torn down: milliseconds. Stops one that hangs from holding what was sent on it. */
const ANSWER_LIMIT = 4_000;

/** How long setting up a connection may take: milliseconds. */
const CONNECT_LIMIT = 5_000;

/** How long `close` waits for answers to what was sent: milliseconds. */
const CLOSE_LIMIT = 500;

/** How much of an error's text is told: characters. Stops whatever answers in the place of Redis from filling the log. */
const REASON_LENGTH = 500;

export interface ConnectionEvents {
  /** It can be used; called again after every reconnection. */
  ready(): void;
  /** It cannot be used, and is being tried again. The reason holds no secret. */
  lost(reason: string): void;
}

/**
 * One connection to Redis that comes back for ever by itself and keeps nothing: what cannot be sent now is rejected at once,
 * and what was not answered when it broke is rejected then, not sent again.
 */
export class Connection {
  readonly redis: Redis;
  readonly #route: Route;
  readonly #events: ConnectionEvents;
  readonly #ping: NodeJS.Timeout;
  /** Where the newest attempt led. */
  #at: Address | undefined;
  /** It leads where it should, as far as the route can tell. */
  #isRight = false;
  #failures = 0;
  #reason = 'the connection was closed';
  #closed: Promise<void> | undefined;

  constructor(route: Route, name: string, events: ConnectionEvents) {
    this.#route = route;
    this.#events = events;
    const dialed = (at: Address): void => {
      this.#at = at;
    };
    const { isTls, ...user } = route.access;
    this.redis = new Redis({
      ...user,
      ...(isTls ? { tls: {} } : {}),
      Connector: class extends Dialer {
        constructor() {
          super(route, dialed);
        }
      },
      connectionName: name,
      disableClientInfo: true,
      connectTimeout: CONNECT_LIMIT,
      // In ioredis this destroys the socket when it owes an answer and nothing comes for so long; commandTimeout would only
      // reject the promise, and the command would stay in its queue.
      socketTimeout: ANSWER_LIMIT,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // Rejects what was not answered as soon as a connection breaks; otherwise it is kept until there is a new one, and then
      // forgotten without an answer.
      maxRetriesPerRequest: 0,
      autoResubscribe: false,
      // INFO, which it asks for, may be forbidden; and Redis publishes while it loads.
      enableReadyCheck: false,
      retryStrategy: () => this.#delay(),
    });
    this.redis.on('ready', () => void this.#check());
    // Only texts are taken from errors: ioredis hangs the arguments of the command on them, and those of the first hold the password.
    this.redis.on('error', (error: Error) => {
      this.#reason = describe(error);
    });
    this.redis.on('close', () => {
      this.#isRight = false;
      if (this.#closed !== undefined) return;
      events.lost(this.#reason);
      this.#reason = 'the connection was closed';
    });
    this.#ping = setInterval(() => this.#ask(), PING_INTERVAL);
  }

  get isReady(): boolean {
    return this.#isRight && this.#isOpen;
  }

  get #isOpen(): boolean {
    return this.redis.status === 'ready' && this.redis.stream.writable;
  }

  /** It does what it is for: when it breaks, the first attempt comes soon again. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Breaks it, to try again: it is there, but cannot be used. */
  fail(error: unknown): void {
    this.#reason = describe(error);
    this.redis.stream.destroy();
  }

  /** Lets what was sent be answered, if that does not take long, and releases the socket. */
  close(): Promise<void> {
    this.#closed ??= this.#release();
    return this.#closed;
  }

  async #release(): Promise<void> {
    clearInterval(this.#ping);
    if (this.#isOpen) {
      const limit = Promise.withResolvers<void>();
      const timer = setTimeout(limit.resolve, CLOSE_LIMIT);
      await Promise.race([limit.promise, this.redis.quit().then(ignore, ignore)]);
      clearTimeout(timer);
    }
    // There is none before the first attempt, and none that is open while it waits for the next.
    const stream: typeof this.redis.stream | undefined = this.redis.stream;
    const { promise, resolve } = Promise.withResolvers<void>();
    if (stream === undefined || stream.closed) resolve();
    else stream.once('close', resolve);
    this.redis.disconnect();
    await promise;
  }

  #ask(): void {
    // A connection that does not answer is torn down by ANSWER_LIMIT, and that is what tells.
    if (!this.#isOpen) return;
    this.redis.ping().then(ignore, ignore);
    void this.#check();
  }

  /** Asks the route, first before the connection is used and then again and again: a server goes on answering when it is not the right one any more. */
  async #check(): Promise<void> {
    const { stream } = this.redis;
    const wrong = this.#at === undefined ? undefined : await this.#route.wrong?.(this.redis, this.#at);
    if (this.#closed !== undefined || this.redis.stream !== stream || !this.#isOpen) return;
    if (wrong !== undefined) this.fail(new Error(wrong));
    else if (!this.#isRight) {
      this.#isRight = true;
      this.#events.ready();
    }
  }

  #delay(): number {
    const longest = Math.min(RETRY_LONGEST, RETRY_FIRST * 2 ** Math.min(this.#failures++, 16));
    return longest * (0.5 + Math.random() / 2);
  }
}

function ignore(): void {
  // The connection's own events tell how it is.
}

/** What an error says, without what hangs on it. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'an error without a text';
  // A host name with several addresses fails with one error for all of them, and that has no text of its own.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join('; ');
  // To a command that it does not know Redis repeats what followed it: behind AUTH, the password.
  return error.message.replace(/, with args beginning with.*/s, '').slice(0, REASON_LENGTH);
}
