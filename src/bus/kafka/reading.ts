import { FetchIsolationLevels, fetchV11, type RecordsBatch } from '@platformatic/kafka';
import type { Clock } from '../../runtime/clock.ts';
import type { BrokerConnection } from '../../kafka/broker-connection.ts';
import { PARTITION } from './topic.ts';

/** How long a read waits for news. */
const FETCH_WAIT_MS = 1_000;

/** How much one read brings, unless its first batch alone is larger. */
const FETCH_MAX_BYTES = 2 * 1024 * 1024;

/** How far this instance may lag behind the topic's end. Beyond it jumps to the end. Stops one that was frozen from hearing old news before new ones. */
const LAG_MAX_ENTRIES = 1_000;

/** The pause after a read that brought nothing and did not wait. Stops a broker that does not wait from being asked without end. */
const EMPTY_READ_MS = 50;

/** Each read stands for itself. */
const SESSIONLESS = { id: 0, epoch: -1 } as const;

/** A batch that holds marks of Kafka's own, no records. */
const FLAG_CONTROL = 32;

export interface ReadingOptions {
  readonly connection: Pick<BrokerConnection, 'ask'>;
  readonly topic: string;
  /** Where to begin. */
  readonly from: bigint;
  readonly clock: Clock;
  readonly hear: (key: Buffer | null, value: Buffer | null) => void;
  /** Some were left out. */
  readonly skipped: () => void;
}

/** Reads what comes into the topic, one question after the other, until the connection or Kafka fails: then it throws. */
export async function readOn({ connection, topic, from, clock, hear, skipped }: ReadingOptions): Promise<never> {
  for (let next = from; ;) {
    const asked = clock.monotonic();
    const { responses } = await connection.ask(fetchV11.api, FETCH_WAIT_MS, 1, FETCH_MAX_BYTES, FetchIsolationLevels.READ_UNCOMMITTED, SESSIONLESS.id, SESSIONLESS.epoch, [
      { topicId: topic, partitions: [{ partition: PARTITION.number, currentLeaderEpoch: -1, fetchOffset: next, lastFetchedEpoch: -1, partitionMaxBytes: FETCH_MAX_BYTES }] },
    ], [], '');
    const partition = responses[0]?.partitions[0];
    if (partition === undefined) throw new Error('Kafka answers a read with nothing that was asked for');
    const batches = partition.records ?? [];
    const end = heard(batches, next, hear);
    // Asked again, Kafka would give the same answer at once, in a loop.
    if (batches.length > 0 && end === next) throw new Error('Kafka answers a read with records that were not asked for');
    const isFar = partition.highWatermark - end > LAG_MAX_ENTRIES;
    next = isFar ? partition.highWatermark : end;
    if (isFar) skipped();
    if (batches.length === 0 && clock.monotonic() - asked < EMPTY_READ_MS) await pause(clock);
  }
}

/** @returns The offset after the last one. */
function heard(batches: readonly RecordsBatch[], from: bigint, hear: ReadingOptions['hear']): bigint {
  let next = from;
  for (const { firstOffset, lastOffsetDelta, attributes, records } of batches) {
    for (const { offsetDelta, key, value } of (attributes & FLAG_CONTROL) === 0 ? records : []) {
      const offset = firstOffset + BigInt(offsetDelta);
      // A batch is sent whole, also where a read begins in its middle.
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
