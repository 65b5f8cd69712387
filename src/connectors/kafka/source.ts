import { FetchIsolationLevels } from '@platformatic/kafka';
import type { KafkaLocation } from '../../config/kafka-url.ts';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import { ExpandsTooFar } from '../../kafka/bounded-expansion.ts';
import { Brokers } from '../../kafka/brokers.ts';
import { SOURCE_MAX_PARTS } from '../../store/contracts/connector-store.ts';
import type { Reading, Source } from '../transport.ts';
import { beginningsOf, fetchFrom, knowsTopicIds, partitionsOf, type Led } from './partitions.ts';
import { recordsOf, type Partition } from './records.ts';

/** How long a fetch waits in the broker for records. */
const SOURCE_FETCH_WAIT_MS = 1_000;

/** The most bytes of one fetch, of all partitions of a broker and of one partition. A single larger batch still comes. Bounds the memory. */
const SOURCE_FETCH_MAX_BYTES = 4 * 1024 * 1024;
const SOURCE_PARTITION_MAX_BYTES = 1024 * 1024;

/** The longest answer: one batch of a topic that allows large batches. */
const SOURCE_ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/** The pause after an empty answer that came at once. Stops a busy loop of fetches if a broker does not wait. */
const EMPTY_READ_MS = 50;

/** How often the source checks the number of partitions. */
const PARTITIONS_INTERVAL_MS = 30_000;

const SESSIONLESS = { id: 0, epoch: -1 } as const;

export interface KafkaSourceOptions {
  readonly location: KafkaLocation;
  readonly topics: readonly string[];
  readonly from: 'now' | 'start';
}

export async function openKafkaSource(options: KafkaSourceOptions): Promise<Source> {
  const brokers = new Brokers(options.location, SOURCE_ANSWER_MAX_BYTES);
  try {
    return new KafkaSource(options, brokers, await brokers.any());
  } catch (error) {
    brokers.close();
    throw error;
  }
}

/** Reads topics. Each broker that leads some of their partitions has one connection, with one fetch at a time. The log has the positions, so the source needs no consumer group. */
class KafkaSource implements Source {
  readonly #options: KafkaSourceOptions;
  readonly #brokers: Brokers;
  /** The connection for metadata of the topics. */
  readonly #first: BrokerConnection;
  #hasIds = false;
  /** Settles when the last `take` ends: `take` allows one caller at a time, and brokers answer concurrently. */
  #taking: Promise<void> = Promise.resolve();
  /** How many records of each partition are not read yet. */
  readonly #behind = new Map<string, number>();
  #hasRead = false;
  /** Whether each fetch asks for one batch, because the compressed batches of one answer expanded too far. */
  #isCautious = false;

  constructor(options: KafkaSourceOptions, brokers: Brokers, first: BrokerConnection) {
    this.#options = options;
    this.#brokers = brokers;
    this.#first = first;
  }

  async read(reading: Reading): Promise<void> {
    const { signal } = reading;
    const stop = (): void => this.#brokers.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      await this.#readAll(reading);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async close(): Promise<void> {
    this.#brokers.close();
  }

  async #readAll(reading: Reading): Promise<void> {
    this.#hasIds = await knowsTopicIds(this.#first);
    const partitions = await partitionsOf(this.#first, this.#options.topics, this.#hasIds, reading.positions);
    if (partitions.length > SOURCE_MAX_PARTS) throw new RangeError(`the topics have more than ${SOURCE_MAX_PARTS} partitions`);
    const leds: Led[] = [];
    for (const led of Map.groupBy(partitions, ({ leader }) => `${leader.host}:${leader.port}`).values()) leds.push({ connection: await this.#brokers.connect(led[0]!.leader), partitions: led });
    const offsets = new Map(await beginningsOf(leds, this.#options.from, reading));
    await Promise.race([this.#watch(partitions.length, reading), ...leds.map((led) => readInTurns(led, (some) => this.#readOnce(some, offsets, reading)))]);
  }

  /** Sends one fetch, and stores its records. @returns The partitions that had records. */
  async #readOnce({ connection, partitions }: Led, offsets: Map<string, bigint>, reading: Reading): Promise<ReadonlySet<Partition>> {
    const asked = performance.now();
    const isCautious = this.#isCautious;
    const [maxBytes, partitionMaxBytes] = isCautious ? [1, 1] : [SOURCE_FETCH_MAX_BYTES, SOURCE_PARTITION_MAX_BYTES];
    const responses = await fetchFrom(connection, this.#hasIds, this.#hasRead ? SOURCE_FETCH_WAIT_MS : 0, 1, maxBytes, FetchIsolationLevels.READ_COMMITTED, SESSIONLESS.id, SESSIONLESS.epoch,
      [...Map.groupBy(partitions, (partition) => this.#nameOf(partition))].map(([topicId, some]) => ({
        topicId, partitions: some.map(({ index, part }) => ({ partition: index, currentLeaderEpoch: -1, fetchOffset: offsets.get(part)!, lastFetchedEpoch: -1, partitionMaxBytes })),
      })), [], '').catch((error: unknown) => {
        if (isCautious || !(error instanceof ExpandsTooFar)) throw error;
        this.#isCautious = true;
        return [];
      });
    // Only a successful fetch shows that the user may read.
    if (!this.#hasRead) reading.up();
    this.#hasRead = true;
    const byName = new Map(partitions.map((partition) => [`${this.#nameOf(partition)}/${partition.index}`, partition]));
    const full = new Set<Partition>();
    for (const { topicId, partitions: answers } of responses) {
      for (const answer of answers) {
        const partition = byName.get(`${topicId}/${answer.partitionIndex}`);
        if (partition === undefined) throw new Error('Kafka answers a read with another partition than requested');
        const from = offsets.get(partition.part)!;
        const { records, next } = recordsOf(answer, partition, from);
        const isEmpty = (answer.records ?? []).length === 0;
        // The next fetch would get the same answer at once.
        if (!isEmpty && next === from) throw new Error('Kafka answers a read with other records than requested');
        if (!isEmpty) full.add(partition);
        this.#behind.set(partition.part, Math.max(0, Number(answer.highWatermark - next)));
        if (records.length > 0) await this.#take(() => reading.take(records));
        offsets.set(partition.part, next);
      }
    }
    reading.waiting([...this.#behind.values()].reduce((sum, records) => sum + records, 0));
    if (full.size === 0 && performance.now() - asked < EMPTY_READ_MS) await pause(EMPTY_READ_MS);
    return full;
  }

  #nameOf({ topic, topicId }: Partition): string {
    return this.#hasIds ? topicId : topic;
  }

  async #take(take: () => Promise<void>): Promise<void> {
    const taken = this.#taking.then(take);
    this.#taking = taken.catch(() => undefined);
    await taken;
  }

  /** Rejects when the number of partitions changes. The next source then reads all of them. */
  async #watch(count: number, { signal, positions }: Reading): Promise<void> {
    while (!signal.aborted) {
      await pause(PARTITIONS_INTERVAL_MS);
      if (signal.aborted) return;
      const partitions = await partitionsOf(this.#first, this.#options.topics, this.#hasIds, positions);
      if (partitions.length !== count) throw new Error(`the topics have ${partitions.length} partitions now`);
    }
  }
}

/** Fetches again and again. Brokers fill an answer in the order of the request, so a partition that had records comes last in the next request. Otherwise busy partitions would starve the others. */
export async function readInTurns({ connection, partitions }: Led, readOnce: (led: Led) => Promise<ReadonlySet<Partition>>): Promise<never> {
  for (let turn = partitions; ;) {
    const full = await readOnce({ connection, partitions: turn });
    turn = [...turn.filter((partition) => !full.has(partition)), ...turn.filter((partition) => full.has(partition))];
  }
}

/** Does not keep the process alive. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
