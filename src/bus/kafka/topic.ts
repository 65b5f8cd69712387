import { createTopicsV4, FetchIsolationLevels, listOffsetsV4, ListOffsetTimestamps, metadataV8 } from '@platformatic/kafka';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../../config/redis-url.ts';
import { isCode, type BrokerConnection } from '../../kafka/broker-connection.ts';

/** The topic of one log's bus. It has one partition, to keep the order, and a short retention, because its records are worthless after a second. The first instance makes it. */

type Asked = Pick<BrokerConnection, 'ask'>;

/** The only partition that is used, even if the topic has more. */
export const PARTITION = { number: 0 } as const;

/** The topic's retention. Stops old records from filling Kafka's disks. Confluent's cloud accepts no shorter times and no smaller segments. */
const RETENTION_MS = 3_600_000;
const RETENTION_BYTES = 256 * 1024 * 1024;
const SEGMENT_MS = 600_000;
const SEGMENT_BYTES = 64 * 1024 * 1024;

/** The largest batch of records that the topic takes: the largest envelope is 1 MiB, and a batch needs some more. */
const RECORD_BATCH_MAX_BYTES = 2 * 1024 * 1024;

/** How long Kafka may take to make the topic. */
const CREATE_MAX_MS = 3_000;

/** How often, and how many times, to ask for the leader of a topic that was just made. Stops an endless wait for a cluster that elects none. */
const LEADER_INTERVAL_MS = 100;
const LEADER_MAX_ATTEMPTS = 30;

const CONFIGS = Object.entries({
  'cleanup.policy': 'delete', 'max.message.bytes': RECORD_BATCH_MAX_BYTES,
  'retention.ms': RETENTION_MS, 'retention.bytes': RETENTION_BYTES, 'segment.ms': SEGMENT_MS, 'segment.bytes': SEGMENT_BYTES,
}).map(([name, value]) => ({ name, value: String(value) }));

/** Makes Kafka store records uncompressed. So Kafka expands the records of a stranger, within its bounds, and this process never does. */
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
