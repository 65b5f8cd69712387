import { metadataV8, murmur2, ProduceAcks, produceV7 } from '@platformatic/kafka';
import type { KafkaLocation } from '../../config/kafka-url.ts';
import type { Address } from '../../config/redis-url.ts';
import { isCode, type BrokerConnection } from '../../kafka/broker-connection.ts';
import { Brokers } from '../../kafka/brokers.ts';
import { UnsendableMessage, type Outgoing, type Sink } from '../transport.ts';
import { NO_TOPIC_NAME, TOPIC_NAME } from './topic-name.ts';

/** How long the in-sync replicas may take to store a batch. */
const REPLICATED_MAX_MS = 3_000;

/** The most data of one batch. Less than 1 MiB, the default limit of topics. */
const SINK_BATCH_MAX_BYTES = 512 * 1024;

/** The longest answer of a broker to a sink. */
const SINK_ANSWER_MAX_BYTES = 8 * 1024 * 1024;

/** Kafka refuses records for its internal topics, such as __consumer_offsets. Such a message must not block the messages after it. */
const FORBIDDEN_TOPIC_CODE = 'INVALID_TOPIC_EXCEPTION';
const FORBIDDEN_TOPIC = 'its topic is one that Kafka lets no client write to';

/** The most topics whose leaders are cached. Stops a template that makes many topics from filling the memory. */
const KNOWN_TOPICS_MAX_ENTRIES = 10_000;

export async function openKafkaSink(location: KafkaLocation): Promise<Sink> {
  const brokers = new Brokers(location, SINK_ANSWER_MAX_BYTES);
  try {
    // Fails if there is no cluster at all.
    await brokers.any();
    return new KafkaSink(brokers);
  } catch (error) {
    brokers.close();
    throw error;
  }
}

/** The partition of successive messages, and its leader. */
interface Destination {
  readonly topic: string;
  readonly partition: number;
  /** How many partitions the topic has. */
  readonly partitions: number;
  readonly leader: Address;
}

/**
 * Writes messages in order: it sends a batch only after all in-sync replicas have stored the batch before. The key is the message's topic, so all messages of a topic are in one partition.
 * If the outcome of a batch is unknown, the next sink sends the batch again. Then Kafka has some messages twice, with the same header `tidings-id`.
 */
class KafkaSink implements Sink {
  readonly lost: Promise<Error | void>;
  readonly #brokers: Brokers;
  readonly #closed = Promise.withResolvers<void>();
  readonly #topics = new Map<string, readonly Address[]>();

  constructor(brokers: Brokers) {
    this.#brokers = brokers;
    // A closed connection does not end the sink: brokers close idle connections, and the next message connects again.
    this.lost = this.#closed.promise;
  }

  async send(messages: readonly Outgoing[], sent: () => void): Promise<void> {
    for (let from = 0; from < messages.length;) {
      const destination = await this.#destinationOf(messages[from]!);
      let bytes = messages[from]!.data.length;
      let to = from + 1;
      for (; to < messages.length && isFor(destination, messages[to]!); to++) {
        bytes += messages[to]!.data.length;
        if (bytes > SINK_BATCH_MAX_BYTES) break;
      }
      await this.#write(messages.slice(from, to), destination, sent);
      from = to;
    }
  }

  async close(): Promise<void> {
    this.#brokers.close();
    this.#closed.resolve();
  }

  async #write(messages: readonly Outgoing[], destination: Destination, sent: () => void): Promise<void> {
    const { topic, partition, leader } = destination;
    const records = messages.map(({ id, topic: key, headers, data }) => ({
      topic, partition, key: Buffer.from(key), value: Buffer.from(data.buffer, data.byteOffset, data.length),
      headers: new Map(Object.entries({ 'tidings-id': id, ...headers }).map(([name, value]) => [Buffer.from(name), Buffer.from(value)])),
    }));
    try {
      const connection = await this.#brokers.shared(leader);
      await connection.ask(produceV7.api, ProduceAcks.ALL, REPLICATED_MAX_MS, records, {});
    } catch (error) {
      if (!isCode(error, 'MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', FORBIDDEN_TOPIC_CODE)) throw error;
      // Kafka stores a whole batch or nothing. Split the batch until the refused message is alone.
      if (messages.length === 1) throw new UnsendableMessage(error instanceof AggregateError ? String(error.errors[0]?.message ?? error.message) : 'Kafka does not take it', { cause: error });
      const middle = messages.length >> 1;
      await this.#write(messages.slice(0, middle), destination, sent);
      return this.#write(messages.slice(middle), destination, sent);
    }
    for (const _ of messages) sent();
  }

  async #leadersOf(topic: string): Promise<readonly Address[]> {
    try {
      return await leadersOf(await this.#brokers.shared(), topic);
    } catch (error) {
      throw isCode(error, FORBIDDEN_TOPIC_CODE) ? new UnsendableMessage(FORBIDDEN_TOPIC, { cause: error }) : error;
    }
  }

  async #destinationOf({ target, topic }: Outgoing): Promise<Destination> {
    if (!TOPIC_NAME.test(target)) throw new UnsendableMessage(NO_TOPIC_NAME);
    let leaders = this.#topics.get(target);
    if (leaders === undefined) {
      leaders = await this.#leadersOf(target);
      if (this.#topics.size >= KNOWN_TOPICS_MAX_ENTRIES) this.#topics.clear();
      this.#topics.set(target, leaders);
    }
    const partition = partitionOf(topic, leaders.length);
    return { topic: target, partition, partitions: leaders.length, leader: leaders[partition]! };
  }
}

/** Chooses a partition by key as Kafka's own clients do. */
function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions;
}

function isFor({ topic, partition, partitions }: Destination, message: Outgoing): boolean {
  return message.target === topic && partitionOf(message.topic, partitions) === partition;
}

/** The leaders of a topic's partitions. Kafka may make the topic, if its brokers are set up so. */
async function leadersOf(connection: BrokerConnection, topic: string): Promise<readonly Address[]> {
  const { brokers, topics } = await connection.ask(metadataV8.api, [topic], true, false, false);
  const partitions = topics[0]?.partitions.toSorted((one, other) => one.partitionIndex - other.partitionIndex) ?? [];
  if (partitions.length === 0) throw new Error(`Kafka does not tell of the topic ${topic}`);
  return partitions.map(({ leaderId, partitionIndex }) => {
    const leader = brokers.find(({ nodeId }) => nodeId === leaderId);
    if (leader === undefined) throw new Error(`partition ${partitionIndex} of ${topic} has no leader now`);
    return { host: leader.host, port: leader.port };
  });
}
