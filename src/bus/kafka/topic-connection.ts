import { metadataV8, ProduceAcks, produceV7 } from '@platformatic/kafka';
import type { KafkaLocation } from '../../config/kafka-url.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import { Brokers } from '../../kafka/brokers.ts';
import type { Envelope } from './outbox.ts';
import { readOn, type ReadingOptions } from './reading.ts';
import { endOf, leaderOf, PARTITION } from './topic.ts';

/** How long Kafka may take to write a batch. */
const WRITE_MAX_MS = 3_000;

/** The longest answer: the bytes of a read, and one more batch of records. */
const BUS_ANSWER_MAX_BYTES = 8 * 1024 * 1024;

/** How often to use the writing connection, even with nothing to write. Brokers close idle connections, usually after 10 minutes. */
const PROBE_INTERVAL_MS = 30_000;

export interface TopicConnectionOptions {
  readonly location: KafkaLocation;
  readonly topic: string;
  readonly clock: Clock;
}

/** Two connections to the broker that leads the bus's topic, for reading and for writing: while a read waits for records, its connection can do nothing else. */
export class TopicConnection {
  readonly #topic: string;
  readonly #clock: Clock;
  readonly #brokers: Brokers;
  #ends: { readonly reader: BrokerConnection; readonly writer: BrokerConnection; readonly from: bigint } | undefined;
  #probe: Timer | undefined;
  /** Why `fail` was called. */
  #fault: unknown;
  #isClosed = false;

  constructor({ location, topic, clock }: TopicConnectionOptions) {
    this.#brokers = new Brokers(location, BUS_ANSWER_MAX_BYTES);
    this.#topic = topic;
    this.#clock = clock;
  }

  /** Connects to the broker that leads the topic, and finds the topic's end. Rejects if any of that fails, or `close` is called. */
  async open(): Promise<void> {
    const first = await this.#brokers.any();
    const leader = await leaderOf(first, this.#topic);
    const [reader, writer] = await Promise.all([this.#brokers.connect(leader), this.#brokers.connect(leader)]);
    first.close();
    this.#ends = { reader, writer, from: await endOf(reader, this.#topic) };
    this.#probeLater(writer);
  }

  async write(envelopes: readonly Envelope[]): Promise<void> {
    const records = envelopes.map(({ key, value }) => ({ topic: this.#topic, partition: PARTITION.number, key, value }));
    // Only the leader confirms. If it is lost with messages, the other instances find them in the log.
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
    this.#brokers.close();
  }

  #probeLater(writer: BrokerConnection): void {
    if (this.#isClosed) return;
    this.#probe = this.#clock.after(PROBE_INTERVAL_MS, () => {
      writer.ask(metadataV8.api, [this.#topic], false, false, false).then(() => this.#probeLater(writer), (error: unknown) => this.fail(error));
    });
  }
}
