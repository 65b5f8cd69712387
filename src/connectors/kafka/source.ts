import { FetchIsolationLevels } from '@platformatic/kafka';
import type { KafkaLocation } from '../../config/kafka-url.ts';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import { ExpandsTooFar } from '../../kafka/bounded-expansion.ts';
import { Brokers } from '../../kafka/brokers.ts';
import { SOURCE_MAX_PARTS } from '../../store/contracts/connector-store.ts';
import type { Reading, Source } from '../transport.ts';
import { beginningsOf, fetchFrom, knowsTopicIds, partitionsOf, type Led } from './partitions.ts';
import { recordsOf, type Partition } from './records.ts';

/** How long a read waits for records. */
const SOURCE_FETCH_WAIT_MS = 1_000;

/** How much a read brings, of all partitions that a broker leads and of one, unless a single batch is larger. Bounds the memory. */
const SOURCE_FETCH_MAX_BYTES = 4 * 1024 * 1024;
const SOURCE_PARTITION_MAX_BYTES = 1024 * 1024;

/** The longest answer: one batch of a topic that takes large ones. */
const SOURCE_ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/** The pause after a read that brought nothing and did not wait. Stops a broker that does not wait from being asked without end. */
const EMPTY_READ_MS = 50;

/** How often it is asked whether the topics have more partitions. */
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

/** Reads topics: one connection, and one question at a time, for each broker that leads some of their partitions. Positions are in the log, so no consumer group is needed. */
class KafkaSource implements Source {
  readonly #options: KafkaSourceOptions;
  readonly #brokers: Brokers;
  /** Tells of the topics. */
  readonly #first: BrokerConnection;
  #hasIds = false;
  /** `take` is for one caller at a time. */
  #taking: Promise<void> = Promise.resolve();
  /** How many records of each part wait in Kafka. */
  readonly #behind = new Map<string, number>();
  #hasRead = false;
  /** Whether it reads one batch at a time: several together expanded too far. */
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

  /** @returns The partitions that brought something. */
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
    // Only now it is known that the user may read.
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
        // The same question would bring the same answer again, at once.
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

  /** Rejects when the topics have other partitions than before: they are then read again. */
  async #watch(count: number, { signal, positions }: Reading): Promise<void> {
    while (!signal.aborted) {
      await pause(PARTITIONS_INTERVAL_MS);
      if (signal.aborted) return;
      const partitions = await partitionsOf(this.#first, this.#options.topics, this.#hasIds, positions);
      if (partitions.length !== count) throw new Error(`the topics have ${partitions.length} partitions now`);
    }
  }
}

/** Brokers fill an answer in the order of the question. A partition that had records is asked last the next time. Otherwise a few busy partitions would keep the others waiting for ever. */
export async function readInTurns({ connection, partitions }: Led, readOnce: (led: Led) => Promise<ReadonlySet<Partition>>): Promise<never> {
  for (let turn = partitions; ;) {
    const full = await readOnce({ connection, partitions: turn });
    turn = [...turn.filter((partition) => !full.has(partition)), ...turn.filter((partition) => full.has(partition))];
  }
}

/** Keeps no process alive. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
