import type { KafkaLocation } from '../config/kafka-url.ts';
import type { Address } from '../config/redis-url.ts';
import { BrokerConnection } from './broker-connection.ts';

/** The connections of one user to a Kafka cluster. `close` closes them all. */
export class Brokers {
  readonly #location: KafkaLocation;
  readonly #answerMaxBytes: number;
  readonly #connections = new Set<BrokerConnection>();
  /** By addresses; '' is the connection to any broker. */
  readonly #shared = new Map<string, Promise<BrokerConnection>>();
  #isClosed = false;

  /** @param answerMaxBytes The longest answer on each connection. */
  constructor(location: KafkaLocation, answerMaxBytes: number) {
    this.#location = location;
    this.#answerMaxBytes = answerMaxBytes;
  }

  /** Connects to any broker of the cluster, because each knows the others. Tries them in order, from a random broker on. */
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

  /** Makes a new connection to a broker. Rejects if that fails, or `close` is called. */
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

  /** The shared connection to a broker; without an address, to any broker. Makes a new one if there is none, or the last is closed. */
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
