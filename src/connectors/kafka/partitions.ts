import { apiVersionsV1, FetchIsolationLevels, fetchV11, fetchV13, ListOffsetTimestamps, listOffsetsV4, metadataV12, metadataV8 } from '@platformatic/kafka';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import type { SourcePosition } from '../../store/contracts/connector-store.ts';
import type { Reading } from '../transport.ts';
import type { Fetched, Partition } from './records.ts';

/** Whether a broker tells, and takes, the ids of topics: Kafka from 3.1 on. */
export async function knowsTopicIds(connection: BrokerConnection): Promise<boolean> {
  const { apiKeys } = await connection.ask(apiVersionsV1.api, 'tidings', '1');
  const hasVersion = ({ key, version }: { readonly key: number; readonly version: number }): boolean => apiKeys.some(({ apiKey, maxVersion }) => apiKey === key && maxVersion >= version);
  return hasVersion(fetchV13.api) && hasVersion(metadataV12.api);
}

/** All partitions of the topics. Rejects where a topic is not there, or a partition has no leader. */
export async function partitionsOf(connection: BrokerConnection, topics: readonly string[], hasIds: boolean, positions: Reading['positions']): Promise<readonly Partition[]> {
  const { brokers, topics: found } = hasIds ? await connection.ask(metadataV12.api, [...topics], false, false) : await connection.ask(metadataV8.api, [...topics], false, false, false);
  const leaders = new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
  return topics.flatMap((topic) => {
    const partitions = found.find(({ name }) => name === topic);
    if (partitions === undefined) throw new Error(`Kafka does not tell of the topic ${topic}`);
    return partitions.partitions.map(({ partitionIndex: index, leaderId }) => {
      const leader = leaders.get(leaderId);
      if (leader === undefined) throw new Error(`partition ${index} of ${topic} has no leader now`);
      const part = `${topic}/${index}`;
      // A cluster whose brokers are exchanged one by one tells the ids at times only. The topic is the same.
      const identity = hasIds ? partitions.topicId : positions.get(part)?.identity ?? '';
      return { topic, topicId: hasIds ? partitions.topicId : '', identity, index, leader, part };
    });
  });
}

/** The partitions that one broker leads, and a connection to it. */
export interface Led {
  readonly connection: Pick<BrokerConnection, 'ask'>;
  readonly partitions: readonly Partition[];
}

/**
 * The offset at which to read each partition. A stored position is the next offset, as a consumer group commits it. A partition without one begins where the declaration says; but a partition
 * that a topic got later begins at its start. All are stored together: otherwise a partition that is not stored would look, after a crash, like one that came later.
 */
export async function beginningsOf(leds: readonly Led[], from: 'now' | 'start', reading: Pick<Reading, 'positions' | 'startAt' | 'lost'>): Promise<ReadonlyMap<string, bigint>> {
  const beginnings = new Map<string, bigint>();
  const changed = new Map<string, SourcePosition>();
  const known = new Set([...reading.positions.keys()].map((part) => part.slice(0, part.lastIndexOf('/'))));
  let lost = 0;
  for (const { connection, partitions } of leds) {
    const [starts, ends] = [await offsetsOf(connection, partitions, ListOffsetTimestamps.EARLIEST), await offsetsOf(connection, partitions, ListOffsetTimestamps.LATEST)];
    for (const { part, topic, identity } of partitions) {
      const [start, end] = [starts.get(part)!, ends.get(part)!];
      const stored = reading.positions.get(part);
      // A position from before brokers told ids is good under the id, too.
      const isSame = stored !== undefined && (stored.identity === identity || stored.identity === '');
      const at = stored === undefined ? (from === 'now' && !known.has(topic) ? end : start)
        : isSame ? BigInt(Math.min(Math.max(stored.position, Number(start)), Number(end)))
          : start;
      // Otherwise "now" would be later after a crash. And a cluster that lost its newest records gives their offsets again.
      if (stored === undefined || (isSame && (at !== BigInt(stored.position) || stored.identity !== identity))) changed.set(part, { identity, position: Number(at) });
      if (isSame && BigInt(stored.position) < start) lost += Number(start) - stored.position;
      beginnings.set(part, at);
    }
  }
  if (changed.size > 0) await reading.startAt(changed);
  if (lost > 0) reading.lost(lost);
  return beginnings;
}

async function offsetsOf(connection: Led['connection'], partitions: readonly Partition[], timestamp: bigint): Promise<ReadonlyMap<string, bigint>> {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  const { topics } = await connection.ask(listOffsetsV4.api, -1, FetchIsolationLevels.READ_COMMITTED, [...byTopic].map(([name, all]) => ({
    name, partitions: all.map(({ index }) => ({ partitionIndex: index, currentLeaderEpoch: -1, timestamp })),
  })));
  const offsets = new Map(topics.flatMap(({ name, partitions: found }) => found.map(({ partitionIndex, offset }) => [`${name}/${partitionIndex}`, offset])));
  for (const { part } of partitions) if (!offsets.has(part)) throw new Error(`Kafka does not say where ${part} begins and ends`);
  return offsets;
}

/** One read. It names topics by their ids where it can: so a new topic of the same name is not mistaken for the old one. */
export async function fetchFrom(connection: Led['connection'], hasIds: boolean, ...asked: Parameters<typeof fetchV13.createRequest>): Promise<readonly { readonly topicId: string; readonly partitions: readonly FetchedPartition[] }[]> {
  const { responses } = hasIds ? await connection.ask(fetchV13.api, ...asked) : await connection.ask(fetchV11.api, ...asked);
  return responses;
}

export interface FetchedPartition extends Fetched {
  readonly partitionIndex: number;
  readonly highWatermark: bigint;
}
