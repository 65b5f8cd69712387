import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector, Redis } from 'ioredis';

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
  readonly #ping: NodeJS.Timeout;
  #failures = 0;
  #reason = 'the connection was closed';
  #closed: Promise<void> | undefined;

  constructor(to: Endpoint, name: string, events: ConnectionEvents) {
    this.redis = new Redis({
      ...to,
      Connector: class extends Dialer {
        constructor() {
          super(to);
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
    this.redis.on('ready', () => events.ready());
    // Only texts are taken from errors: ioredis hangs the arguments of the command on them, and those of the first hold the password.
    this.redis.on('error', (error: Error) => {
      this.#reason = describe(error);
    });
    this.redis.on('close', () => {
      if (this.#closed !== undefined) return;
      events.lost(this.#reason);
      this.#reason = 'the connection was closed';
    });
    this.#ping = setInterval(() => this.#ask(), PING_INTERVAL);
  }

  get isReady(): boolean {
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
    if (this.isReady) {
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
    if (this.isReady) this.redis.ping().then(ignore, ignore);
  }

  #delay(): number {
    const longest = Math.min(RETRY_LONGEST, RETRY_FIRST * 2 ** Math.min(this.#failures++, 16));
    return longest * (0.5 + Math.random() / 2);
  }
}

/**
 * Opens the sockets, and closes them at once. The one of ioredis listens to one error of a socket, and a second one ends the
 * process: TLS reports two when a connection is given up in its handshake. It also waits for the other end to say goodbye,
 * which a frozen one never does, on a timer that outlives the socket.
 */
class Dialer extends AbstractConnector {
  readonly #to: Endpoint;

  constructor(to: Endpoint) {
    super(0);
    this.#to = to;
  }

  override connect(): Promise<Socket> {
    const { host, port, tls } = this.#to;
    this.connecting = true;
    this.stream = tls === undefined ? connectTcp({ host, port }) : connectTls({ host, port, ...tls });
    this.stream.on('error', (error) => {
      this.firstError = error;
    });
    return Promise.resolve(this.stream);
  }

  override disconnect(): void {
    this.connecting = false;
    const stream: Socket | undefined = this.stream;
    stream?.destroy();
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
  return error.message;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: { readonly servername?: string };
}

/**
 * Where a `redis://` or `rediss://` URL leads. A database's number is not selected: publishing knows none. Throws without the
 * URL in the text or the cause, since it may hold a password.
 */
export function endpoint(url: string): Endpoint {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') throw new Error('The URL of Redis is not redis://… or rediss://…');
  const host = parsed.hostname.replace(/^\[|\]$/g, '');
  return {
    host,
    port: parsed.port === '' ? 6379 : Number(parsed.port),
    ...(parsed.username === '' ? {} : { username: decode(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decode(parsed.password) }),
    // Hosted servers find the certificate, and some the database, by the name; TLS knows none for an address.
    ...(parsed.protocol === 'rediss:' ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}),
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    throw new Error('The user or password in the URL of Redis is not percent-encoded properly', { cause: error });
  }
}
