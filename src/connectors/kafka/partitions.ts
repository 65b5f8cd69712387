import { apiVersionsV1, FetchIsolationLevels, fetchV11, fetchV13, ListOffsetTimestamps, listOffsetsV4, metadataV12, metadataV8 } from '@platformatic/kafka';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import type { SourcePosition } from '../../store/contracts/connector-store.ts';
import type { Reading } from '../transport.ts';
import type { Fetched, Partition } from './records.ts';

/** Whether a broker supports ids of topics: Kafka from 3.1 on. */
export async function knowsTopicIds(connection: BrokerConnection): Promise<boolean> {
  const { apiKeys } = await connection.ask(apiVersionsV1.api, 'tidings', '1');
  const hasVersion = ({ key, version }: { readonly key: number; readonly version: number }): boolean => apiKeys.some(({ apiKey, maxVersion }) => apiKey === key && maxVersion >= version);
  return hasVersion(fetchV13.api) && hasVersion(metadataV12.api);
}

/** All partitions of the topics. Rejects if a topic does not exist, or a partition has no leader. */
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
      // During a rolling upgrade, only some brokers know ids. Keep the stored identity: the topic is the same.
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
 * The offset at which to read each partition:
 *
 *     no stored position, the topic is new          as declared: its end for `now`, its start for `start`
 *     no stored position, the topic has others      its start: the topic got this partition later
 *     a stored position of the same topic           that position, which is the next offset; moved into the range that Kafka has
 *     a stored position of an earlier topic         its start: the topic was deleted and made again
 *
 * Stores all changed positions in one step. Otherwise, after a crash between two steps, a partition without a position would look like one that the topic got later.
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
      // A position without an identity was stored when the brokers had no ids. It is valid.
      const isSame = stored !== undefined && (stored.identity === identity || stored.identity === '');
      const at = stored === undefined ? (from === 'now' && !known.has(topic) ? end : start)
        : isSame ? BigInt(Math.min(Math.max(stored.position, Number(start)), Number(end)))
          : start;
      // Store a first position at once: otherwise a crash would make "now" a later time. Store a corrected position: a cluster that lost its newest records gives their offsets again.
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

/** Sends one fetch. Names topics by id if the broker can, so that a new topic of the same name is not mistaken for the old one. */
export async function fetchFrom(connection: Led['connection'], hasIds: boolean, ...asked: Parameters<typeof fetchV13.createRequest>): Promise<readonly { readonly topicId: string; readonly partitions: readonly FetchedPartition[] }[]> {
  const { responses } = hasIds ? await connection.ask(fetchV13.api, ...asked) : await connection.ask(fetchV11.api, ...asked);
  return responses;
}

export interface FetchedPartition extends Fetched {
  readonly partitionIndex: number;
  readonly highWatermark: bigint;
}
