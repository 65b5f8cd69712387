import { metadataV8, ProduceAcks, produceV7 } from '@platformatic/kafka';
import type { KafkaLocation } from '../../config/kafka-url.ts';
import type { Address } from '../../config/redis-url.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { BrokerConnection } from './broker-connection.ts';
import type { Envelope } from './outbox.ts';
import { readOn, type ReadingOptions } from './reading.ts';
import { endOf, leaderOf, PARTITION } from './topic.ts';

/** How long Kafka may take to write a batch. */
const WRITE_MAX_MS = 3_000;

/** How often the connection that writes is used, whether there is something to write or not. Brokers close those that are not, usually after 10 minutes. */
const PROBE_INTERVAL_MS = 30_000;

export interface TopicConnectionOptions {
  readonly location: KafkaLocation;
  readonly topic: string;
  readonly clock: Clock;
}

/** What the bus has of Kafka at a time: two connections to the broker that leads its topic, since one that waits for news answers nothing else. */
export class TopicConnection {
  readonly #location: KafkaLocation;
  readonly #topic: string;
  readonly #clock: Clock;
  /** All that were begun. */
  readonly #connections = new Set<BrokerConnection>();
  #ends: { readonly reader: BrokerConnection; readonly writer: BrokerConnection; readonly from: bigint } | undefined;
  #probe: Timer | undefined;
  /** Why it is not to be used any more. */
  #fault: unknown;
  #isClosed = false;

  constructor({ location, topic, clock }: TopicConnectionOptions) {
    this.#location = location;
    this.#topic = topic;
    this.#clock = clock;
  }

  /** Finds the broker that leads the topic, and where the topic ends. Rejects where any of that fails, or it is closed meanwhile. */
  async open(): Promise<void> {
    const first = await this.#connectToAny();
    const leader = await leaderOf(first, this.#topic);
    const [reader, writer] = await Promise.all([this.#connect(leader), this.#connect(leader)]);
    first.close();
    this.#connections.delete(first);
    this.#ends = { reader, writer, from: await endOf(reader, this.#topic) };
    this.#probeLater(writer);
  }

  async write(envelopes: readonly Envelope[]): Promise<void> {
    const records = envelopes.map(({ key, value }) => ({ topic: this.#topic, partition: PARTITION.number, key, value }));
    // The leader alone confirms: what is lost with it is found in the log.
    await this.#ends!.writer.ask(produceV7.api, ProduceAcks.LEADER, WRITE_MAX_MS, records, {});
  }

  /** Reads from the end on. Rejects when either connection, or Kafka, fails. */
  async read(listener: Pick<ReadingOptions, 'hear' | 'skipped'>): Promise<never> {
    const { reader, writer, from } = this.#ends!;
    try {
      const lost = writer.closed.then(() => {
        throw writer.error ?? new Error('Kafka closed a connection');
      });
      return await Promise.race([readOn({ connection: reader, topic: this.#topic, from, clock: this.#clock, ...listener }), lost]);
    } catch (error) {
      throw this.#fault ?? error;
    }
  }

  fail(error: unknown): void {
    this.#fault ??= error;
    this.close();
  }

  close(): void {
    this.#isClosed = true;
    this.#probe?.cancel();
    for (const connection of this.#connections) connection.close();
  }

  /** Any broker of the cluster knows the others. They are asked one after the other, from a random one on. */
  async #connectToAny(): Promise<BrokerConnection> {
    const { brokers } = this.#location;
    const first = Math.floor(Math.random() * brokers.length);
    let failure: unknown;
    for (let index = 0; index < brokers.length && !this.#isClosed; index++) {
      try {
        return await this.#connect(brokers[(first + index) % brokers.length]!);
      } catch (error) {
        failure = error;
      }
    }
    throw new Error('no broker can be used', { cause: failure });
  }

  async #connect(address: Address): Promise<BrokerConnection> {
    if (this.#isClosed) throw new Error('it was closed');
    const connection = new BrokerConnection(this.#location, address);
    this.#connections.add(connection);
    try {
      await connection.connect();
      return connection;
    } catch (error) {
      connection.close();
      this.#connections.delete(connection);
      throw error;
    }
  }

  #probeLater(writer: BrokerConnection): void {
    if (this.#isClosed) return;
    this.#probe = this.#clock.after(PROBE_INTERVAL_MS, () => {
      writer.ask(metadataV8.api, [this.#topic], false, false, false).then(() => this.#probeLater(writer), (error: unknown) => this.fail(error));
    });
  }
}
