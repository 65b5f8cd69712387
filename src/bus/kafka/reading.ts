import { FetchIsolationLevels, fetchV11, type RecordsBatch } from '@platformatic/kafka';
import type { Clock } from '../../runtime/clock.ts';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import { PARTITION } from './topic.ts';

/** How long a read waits for records. */
const FETCH_WAIT_MS = 1_000;

/** The most bytes of one read, unless its first batch alone is larger. */
const FETCH_MAX_BYTES = 2 * 1024 * 1024;

/** The most records between this instance and the topic's end. Above it, the instance skips to the end. Stops an instance that was frozen from reading old hints before new ones. */
const LAG_MAX_ENTRIES = 1_000;

/** The pause after an empty read that came back at once. Stops a loop of reads from a broker that does not wait. */
const EMPTY_READ_MS = 50;

/** No fetch session: each read names all that it wants. */
const SESSIONLESS = { id: 0, epoch: -1 } as const;

/** The bit of a batch that has markers of Kafka's own, and no records. */
const FLAG_CONTROL = 32;

export interface ReadingOptions {
  readonly connection: Pick<BrokerConnection, 'ask'>;
  readonly topic: string;
  /** The offset to begin at. */
  readonly from: bigint;
  readonly clock: Clock;
  readonly hear: (key: Buffer | null, value: Buffer | null) => void;
  /** Called when records were skipped. */
  readonly skipped: () => void;
}

/** Reads the records of the topic as they come, one request after the other. Rejects when the connection or Kafka fails. */
export async function readOn({ connection, topic, from, clock, hear, skipped }: ReadingOptions): Promise<never> {
  for (let next = from; ;) {
    const asked = clock.monotonic();
    const { responses } = await connection.ask(fetchV11.api, FETCH_WAIT_MS, 1, FETCH_MAX_BYTES, FetchIsolationLevels.READ_UNCOMMITTED, SESSIONLESS.id, SESSIONLESS.epoch, [
      { topicId: topic, partitions: [{ partition: PARTITION.number, currentLeaderEpoch: -1, fetchOffset: next, lastFetchedEpoch: -1, partitionMaxBytes: FETCH_MAX_BYTES }] },
    ], [], '');
    const partition = responses[0]?.partitions[0];
    if (partition === undefined) throw new Error('Kafka answers a read without the partition of the bus');
    const batches = partition.records ?? [];
    const end = heard(batches, next, hear);
    // Without an advance, the loop would repeat the same request for ever.
    if (batches.length > 0 && end === next) throw new Error('Kafka answers a read with other records than requested');
    const isFar = partition.highWatermark - end > LAG_MAX_ENTRIES;
    next = isFar ? partition.highWatermark : end;
    if (isFar) skipped();
    if (batches.length === 0 && clock.monotonic() - asked < EMPTY_READ_MS) await pause(clock);
  }
}

/** @returns The offset after the last record. */
function heard(batches: readonly RecordsBatch[], from: bigint, hear: ReadingOptions['hear']): bigint {
  let next = from;
  for (const { firstOffset, lastOffsetDelta, attributes, records } of batches) {
    for (const { offsetDelta, key, value } of (attributes & FLAG_CONTROL) === 0 ? records : []) {
      const offset = firstOffset + BigInt(offsetDelta);
      // Kafka sends whole batches, even if the read begins in the middle of one.
      if (offset < next) continue;
      next = offset + 1n;
      hear(key, value);
    }
    const after = firstOffset + BigInt(lastOffsetDelta) + 1n;
    if (after > next) next = after;
  }
  return next;
}

function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => void clock.after(EMPTY_READ_MS, resolve));
}
