import type { KafkaLocation } from '../config/kafka-url.ts';
import type { Address } from '../config/redis-url.ts';
import { BrokerConnection } from './broker-connection.ts';

/** The connections that one user of a Kafka cluster has, and closes together. */
export class Brokers {
  readonly #location: KafkaLocation;
  readonly #answerMaxBytes: number;
  readonly #connections = new Set<BrokerConnection>();
  /** By addresses; '' is any broker. */
  readonly #shared = new Map<string, Promise<BrokerConnection>>();
  #isClosed = false;

  /** @param answerMaxBytes The longest answer that any of them takes. */
  constructor(location: KafkaLocation, answerMaxBytes: number) {
    this.#location = location;
    this.#answerMaxBytes = answerMaxBytes;
  }

  /** Connects to any broker of the cluster: each knows the others. They are asked one after the other, from a random one on. */
  async any(): Promise<BrokerConnection> {
    const { brokers } = this.#location;
    const first = Math.floor(Math.random() * brokers.length);
    let failure: unknown;
    for (let index = 0; index < brokers.length && !this.#isClosed; index++) {
      try {
        return await this.connect(brokers[(first + index) % brokers.length]!);
      } catch (error) {
        failure = error;
      }
    }
    throw new Error('no broker can be used', { cause: failure });
  }

  /** A connection of its own. Rejects where that fails, or all are closed meanwhile. */
  async connect(address: Address): Promise<BrokerConnection> {
    if (this.#isClosed) throw new Error('it was closed');
    const connection = new BrokerConnection(this.#location, address, this.#answerMaxBytes);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    try {
      await connection.connect();
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** The connection to a broker, or to any one. It is made where there is none, or the one before is closed. */
  shared(address?: Address): Promise<BrokerConnection> {
    const key = address === undefined ? '' : `${address.host}:${address.port}`;
    const existing = this.#shared.get(key);
    if (existing !== undefined) return existing;
    const connecting = address === undefined ? this.any() : this.connect(address);
    this.#shared.set(key, connecting);
    const forget = (): void => {
      if (this.#shared.get(key) === connecting) this.#shared.delete(key);
    };
    connecting.then((connection) => connection.closed.then(forget), forget);
    return connecting;
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.close();
  }
}
