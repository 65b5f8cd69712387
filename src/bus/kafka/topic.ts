import { createTopicsV4, FetchIsolationLevels, listOffsetsV4, ListOffsetTimestamps, metadataV8 } from '@platformatic/kafka';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../../config/redis-url.ts';
import { isCode, type BrokerConnection } from '../../kafka/broker-connection.ts';

/** The topic of one log's bus, with one partition, which keeps the order. The first instance makes it. Its records are worth little a second later, so it keeps few. */

type Asked = Pick<BrokerConnection, 'ask'>;

/** The only partition that is used, also where somebody made more. */
export const PARTITION = { number: 0 } as const;

/** How long and how much the topic keeps. Stops news that everybody has heard from filling Kafka's disks. Confluent's cloud takes no shorter times, and no smaller segments. */
const RETENTION_MS = 3_600_000;
const RETENTION_BYTES = 256 * 1024 * 1024;
const SEGMENT_MS = 600_000;
const SEGMENT_BYTES = 64 * 1024 * 1024;

/** The largest batch of records that the topic takes: the largest envelope is 1 MiB, and a batch needs some more. */
const RECORD_BATCH_MAX_BYTES = 2 * 1024 * 1024;

/** How long Kafka may take to make it. */
const CREATE_MAX_MS = 3_000;

/** How often, and how many times, a topic that was just made is asked for until somebody leads it. Stops a cluster without a leader from being waited for. */
const LEADER_INTERVAL_MS = 100;
const LEADER_MAX_ATTEMPTS = 30;

const CONFIGS = Object.entries({
  'cleanup.policy': 'delete', 'max.message.bytes': RECORD_BATCH_MAX_BYTES,
  'retention.ms': RETENTION_MS, 'retention.bytes': RETENTION_BYTES, 'segment.ms': SEGMENT_MS, 'segment.bytes': SEGMENT_BYTES,
}).map(([name, value]) => ({ name, value: String(value) }));

/** Kafka expands what a stranger compressed, within the bound, and not this process without one. */
const UNCOMPRESSED = { name: 'compression.type', value: 'uncompressed' } as const;

export function topicOf(logId: string): string {
  return `tidings.${logId}.bus`;
}

/** The address of the broker that leads the topic. Makes the topic if there is none. */
export async function leaderOf(connection: Asked, topic: string): Promise<Address> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await askForLeader(connection, topic);
    } catch (error) {
      const isMissing = isCode(error, 'UNKNOWN_TOPIC_OR_PARTITION');
      if (attempt === LEADER_MAX_ATTEMPTS || !(isMissing || isCode(error, 'LEADER_NOT_AVAILABLE'))) throw error;
      if (isMissing) await make(connection, topic);
    }
    await sleep(LEADER_INTERVAL_MS);
  }
}

async function askForLeader(connection: Asked, topic: string): Promise<Address> {
  const { brokers, topics } = await connection.ask(metadataV8.api, [topic], false, false, false);
  const partition = topics.find(({ name }) => name === topic)?.partitions.find(({ partitionIndex }) => partitionIndex === PARTITION.number);
  const leader = brokers.find(({ nodeId }) => nodeId === partition?.leaderId);
  if (leader === undefined) throw new Error('Kafka names no broker that leads the topic');
  return { host: leader.host, port: leader.port };
}

async function make(connection: Asked, topic: string, configs: readonly { readonly name: string; readonly value: string }[] = [...CONFIGS, UNCOMPRESSED]): Promise<void> {
  try {
    // As many replicas as the cluster has by itself.
    await connection.ask(createTopicsV4.api, [{ name: topic, numPartitions: 1, replicationFactor: -1, assignments: [], configs: [...configs] }], CREATE_MAX_MS, false);
  } catch (error) {
    // Some clusters do not let the maker of a topic choose its compression.
    if (isCode(error, 'POLICY_VIOLATION', 'INVALID_CONFIG') && configs.includes(UNCOMPRESSED)) return make(connection, topic, CONFIGS);
    if (!isCode(error, 'TOPIC_ALREADY_EXISTS')) throw error;
  }
}

/** The offset that the next record will have. */
export async function endOf(connection: Asked, topic: string): Promise<bigint> {
  const { topics } = await connection.ask(listOffsetsV4.api, -1, FetchIsolationLevels.READ_UNCOMMITTED, [
    { name: topic, partitions: [{ partitionIndex: PARTITION.number, currentLeaderEpoch: -1, timestamp: ListOffsetTimestamps.LATEST }] },
  ]);
  const offset = topics[0]?.partitions[0]?.offset;
  if (offset === undefined) throw new Error('Kafka does not say where the topic ends');
  return offset;
}
