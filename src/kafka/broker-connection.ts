import { Connection, ResponseError, type API } from '@platformatic/kafka';
import type { KafkaLocation } from '../config/kafka-url.ts';
import { serverName, type Address } from '../config/redis-url.ts';
import { guardSocket } from '../runtime/sockets/guarded-socket.ts';
import { answerFraming } from './answer-framing.ts';
import { boundExpansion } from './bounded-expansion.ts';

/**
 * This room is what all users of Kafka share: the bus, and connectors. Locations and addresses come in, and connections that answer questions go out. Of the client library it uses connections
 * and the protocol. Its producers and consumers reconnect, retry and queue by themselves. They also throw where nobody catches it, when a broker tells nonsense of its cluster.
 */

/** How long setting up a connection may take, its user and password too. Stops a broker that never finishes from being waited for. */
const CONNECT_MAX_MS = 5_000;

/** How long an answer may take. Longer than a read waits for news (`FETCH_WAIT_MS`). Stops a frozen broker, or one that vanished without a word, from looking alive. */
const KAFKA_ANSWER_MAX_MS = 4_000;

/** One connection to one broker. It does not come back: its user makes another one. */
export class BrokerConnection {
  readonly #connection: Connection;
  readonly #address: Address;
  readonly #answerMaxBytes: number;
  readonly #closed = Promise.withResolvers<void>();
  #error: Error | undefined;

  /** @param answerMaxBytes The longest answer: stops one without an end from filling the memory. */
  constructor({ isTls, user }: Pick<KafkaLocation, 'isTls' | 'user'>, address: Address, answerMaxBytes: number) {
    boundExpansion();
    this.#address = address;
    this.#answerMaxBytes = answerMaxBytes;
    this.#connection = new Connection('tidings', {
      connectTimeout: CONNECT_MAX_MS, requestTimeout: KAFKA_ANSWER_MAX_MS,
      ...(isTls ? { tls: serverName(address.host) } : {}), ...(user === undefined ? {} : { sasl: { ...user } }),
    });
    // It emits some errors twice, and an error without a listener ends the process.
    this.#connection.on('error', (error) => {
      this.#error ??= error;
    });
  }

  /** Resolves when it is closed, for whatever reason. Only one that was connected says so. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Why it broke, where something says so. */
  get error(): Error | undefined {
    return this.#error;
  }

  async connect(): Promise<void> {
    const { host, port } = this.#address;
    await new Promise<void>((resolve, reject) => {
      void this.#connection.connect(host, port, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
      const { socket } = this.#connection;
      guardSocket(socket, answerFraming(this.#answerMaxBytes));
      // TLS reports two errors when its handshake is aborted, and the library listens to one.
      socket.on('error', (error) => {
        this.#error ??= error;
      });
      socket.once('close', () => this.#closed.resolve());
    });
  }

  /** One question and its answer. A refusal of Kafka is an error, too: see `isCode`. */
  async ask<Arguments extends unknown[], Answer>(api: API<Arguments, Answer>, ...args: Arguments): Promise<Answer> {
    try {
      return await api.async(this.#connection, ...args);
    } catch (error) {
      // The error that broke the connection says more than "closed".
      throw isRefusal(error) ? error : this.#error ?? error;
    }
  }

  close(): void {
    this.#connection.close(() => undefined);
    // The library waits for the other end, and forgets the socket of one that failed.
    this.#connection.socket?.on('error', () => undefined).destroy();
    this.#closed.resolve();
  }
}

/** Whether the error is an answer of Kafka: the connection is well. */
function isRefusal(error: unknown): boolean {
  return error instanceof ResponseError;
}

/** Whether Kafka answered with one of these codes (https://kafka.apache.org/protocol#protocol_error_codes). */
export function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof ResponseError && codes.some((code) => error.findBy('apiId', code) !== null);
}
