import { apiVersionsV1, FetchIsolationLevels, fetchV11, fetchV13, ListOffsetTimestamps, listOffsetsV4, metadataV12, metadataV8 } from '@platformatic/kafka';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import type { Reading } from '../transport.ts';
import type { Fetched, Partition } from './records.ts';

/** Whether a broker tells, and takes, the ids of topics: Kafka from 3.1 on. */
export async function knowsTopicIds(connection: BrokerConnection): Promise<boolean> {
  const { apiKeys } = await connection.ask(apiVersionsV1.api, 'tidings', '1');
  const hasVersion = ({ key, version }: { readonly key: number; readonly version: number }): boolean => apiKeys.some(({ apiKey, maxVersion }) => apiKey === key && maxVersion >= version);
  return hasVersion(fetchV13.api) && hasVersion(metadataV12.api);
}

/** All partitions of the topics. Rejects where a topic is not there, or a partition has no leader. */
export async function partitionsOf(connection: BrokerConnection, topics: readonly string[], hasIds: boolean): Promise<readonly Partition[]> {
  const { brokers, topics: found } = hasIds ? await connection.ask(metadataV12.api, [...topics], false, false) : await connection.ask(metadataV8.api, [...topics], false, false, false);
  const leaders = new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
  return topics.flatMap((topic) => {
    const partitions = found.find(({ name }) => name === topic);
    if (partitions === undefined) throw new Error(`Kafka does not tell of the topic ${topic}`);
    return partitions.partitions.map(({ partitionIndex: index, leaderId }) => {
      const leader = leaders.get(leaderId);
      if (leader === undefined) throw new Error(`partition ${index} of ${topic} has no leader now`);
      return { topic, topicId: hasIds ? partitions.topicId : '', index, leader, part: `${topic}/${index}` };
    });
  });
}

export interface Beginnings {
  readonly connection: BrokerConnection;
  /** Those that the broker of the connection leads. */
  readonly partitions: readonly Partition[];
  readonly from: 'now' | 'start';
  readonly reading: Reading;
}

/**
 * The offset at which to read each partition. A stored position is the next offset, as a consumer group commits it. What has none begins where the declaration says; but a partition
 * that a topic got later begins at its start.
 */
export async function beginningsOf({ connection, partitions, from, reading }: Beginnings): Promise<ReadonlyMap<string, bigint>> {
  const [starts, ends] = [await offsetsOf(connection, partitions, ListOffsetTimestamps.EARLIEST), await offsetsOf(connection, partitions, ListOffsetTimestamps.LATEST)];
  const beginnings = new Map<string, bigint>();
  const known = new Set([...reading.positions.keys()].map((part) => part.slice(0, part.lastIndexOf('/'))));
  for (const { part, topic, topicId: identity } of partitions) {
    const [start, end] = [starts.get(part)!, ends.get(part)!];
    const stored = reading.positions.get(part);
    const at = stored === undefined ? (from === 'now' && !known.has(topic) ? end : start)
      : stored.identity !== identity ? start
        : BigInt(Math.min(Math.max(stored.position, Number(start)), Number(end)));
    // Otherwise "now" would be later after a crash; and what a cluster lost of its newest records, it counts anew.
    if (stored === undefined || (stored.identity === identity && at !== BigInt(stored.position))) await reading.startAt(part, { identity, position: Number(at) });
    if (stored?.identity === identity && BigInt(stored.position) < start) reading.lost(Number(start) - stored.position);
    beginnings.set(part, at);
  }
  return beginnings;
}

async function offsetsOf(connection: BrokerConnection, partitions: readonly Partition[], timestamp: bigint): Promise<ReadonlyMap<string, bigint>> {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  const { topics } = await connection.ask(listOffsetsV4.api, -1, FetchIsolationLevels.READ_COMMITTED, [...byTopic].map(([name, all]) => ({
    name, partitions: all.map(({ index }) => ({ partitionIndex: index, currentLeaderEpoch: -1, timestamp })),
  })));
  const offsets = new Map(topics.flatMap(({ name, partitions: found }) => found.map(({ partitionIndex, offset }) => [`${name}/${partitionIndex}`, offset])));
  for (const { part } of partitions) if (!offsets.has(part)) throw new Error(`Kafka does not say where ${part} begins and ends`);
  return offsets;
}

/** One read. It names topics by their ids where it can: a topic that was made anew under the same name is then not mistaken for the one before. */
export async function fetchFrom(connection: BrokerConnection, hasIds: boolean, ...asked: Parameters<typeof fetchV13.createRequest>): Promise<readonly { readonly topicId: string; readonly partitions: readonly FetchedPartition[] }[]> {
  const { responses } = hasIds ? await connection.ask(fetchV13.api, ...asked) : await connection.ask(fetchV11.api, ...asked);
  return responses;
}

export interface FetchedPartition extends Fetched {
  readonly partitionIndex: number;
  readonly highWatermark: bigint;
}
