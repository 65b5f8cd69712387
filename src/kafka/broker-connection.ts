import { Connection, ResponseError, type API } from '@platformatic/kafka';
import type { KafkaLocation } from '../config/kafka-url.ts';
import { serverName, type Address } from '../config/redis-url.ts';
import { guardSocket } from '../runtime/sockets/guarded-socket.ts';
import { answerFraming } from './answer-framing.ts';
import { boundExpansion } from './bounded-expansion.ts';

/**
 * This room makes connections to brokers of Kafka, for the bus and the connectors. Locations and addresses come in; connections for requests go out. It uses only the connections and the protocol of
 * the client library. The library's producers and consumers reconnect, retry and queue by themselves, and throw uncaught errors when a broker describes its cluster wrongly.
 * Read `brokers.ts` next. `answer-framing.ts` and `bounded-expansion.ts` bound the memory of answers.
 */

/** The timeout of connecting, including the login. Stops an endless wait for a broker that never finishes. */
const CONNECT_MAX_MS = 5_000;

/** The timeout of an answer. Longer than a read waits for records (`FETCH_WAIT_MS`). Detects a broker that is frozen or gone. */
const KAFKA_ANSWER_MAX_MS = 4_000;

/** One connection to one broker. It never reconnects: its user makes a new one. */
export class BrokerConnection {
  readonly #connection: Connection;
  readonly #address: Address;
  readonly #answerMaxBytes: number;
  readonly #closed = Promise.withResolvers<void>();
  #error: Error | undefined;

  /** @param answerMaxBytes The longest answer. Stops an endless answer from filling the memory. */
  constructor({ isTls, user }: Pick<KafkaLocation, 'isTls' | 'user'>, address: Address, answerMaxBytes: number) {
    boundExpansion();
    this.#address = address;
    this.#answerMaxBytes = answerMaxBytes;
    this.#connection = new Connection('tidings', {
      connectTimeout: CONNECT_MAX_MS, requestTimeout: KAFKA_ANSWER_MAX_MS,
      ...(isTls ? { tls: serverName(address.host) } : {}), ...(user === undefined ? {} : { sasl: { ...user } }),
    });
    // Keep this listener: the library emits some errors twice, and an error without a listener ends the process.
    this.#connection.on('error', (error) => {
      this.#error ??= error;
    });
  }

  /** Resolves when the connection is closed. Never resolves if it was neither connected nor closed by `close`. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Why the connection broke, if known. */
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

  /** Sends a request, and resolves with its answer. Rejects if Kafka refuses it: see `isCode`. */
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
    // The library waits for the broker to close, and leaves the socket of a failed connection open.
    this.#connection.socket?.on('error', () => undefined).destroy();
    this.#closed.resolve();
  }
}

/** Whether Kafka answered with an error: then the connection still works. */
function isRefusal(error: unknown): boolean {
  return error instanceof ResponseError;
}

/** Whether Kafka answered with one of these codes (https://kafka.apache.org/protocol#protocol_error_codes). */
export function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof ResponseError && codes.some((code) => error.findBy('apiId', code) !== null);
}
