import type { API, RecordsBatch } from '@platformatic/kafka';
import t from 'tap';
import { readOn } from '../../../src/bus/kafka/reading.ts';
import { systemClock } from '../../../src/runtime/clock.ts';

/** What a broker answers, without a broker. */

/** The bounds of reading, under the same names there. */
const LAG_MAX_ENTRIES = 1_000;
const EMPTY_READ_MS = 50;

interface Answer {
  readonly batches: readonly RecordsBatch[];
  readonly highWatermark?: bigint;
  readonly partitions?: readonly unknown[];
}

function batch(firstOffset: bigint, values: readonly string[], parts: { readonly attributes?: number; readonly lastOffsetDelta?: number } = {}): RecordsBatch {
  return {
    firstOffset, length: 0, partitionLeaderEpoch: 0, magic: 2, crc: 0, attributes: 0, lastOffsetDelta: values.length - 1, firstTimestamp: 0n, maxTimestamp: 0n, producerId: -1n, producerEpoch: -1, firstSequence: -1,
    records: values.map((value, offsetDelta) => ({ length: 0, attributes: 0, timestampDelta: 0n, offsetDelta, key: null, value: Buffer.from(value), headers: [] })), ...parts,
  };
}

/** Reads from 10 on until the answers are used up. */
async function read(...answers: readonly Answer[]): Promise<{ asked: bigint[]; heard: string[]; skips: number; pauses: number[]; error: unknown }> {
  const asked: bigint[] = [];
  const heard: string[] = [];
  const pauses: number[] = [];
  let skips = 0;
  const connection = {
    ask: async (_: unknown, ...args: readonly unknown[]) => {
      const [{ partitions: [{ fetchOffset }] }] = args[6] as [{ partitions: [{ fetchOffset: bigint }] }];
      const answer = answers[asked.length];
      if (answer === undefined) throw new Error('that was all');
      asked.push(fetchOffset);
      return { responses: [{ partitions: answer.partitions ?? [{ records: answer.batches, highWatermark: answer.highWatermark ?? 0n }] }] };
    },
  } as { ask<Arguments extends unknown[], Response>(api: API<Arguments, Response>, ...args: Arguments): Promise<Response> };
  const clock = { ...systemClock, monotonic: () => 0, after: (ms: number, task: () => void) => {
    pauses.push(ms);
    setImmediate(task);
    return { cancel: () => undefined };
  } };
  const error: unknown = await readOn({
    connection, topic: 'topic', from: 10n, clock, hear: (_, value) => void heard.push(String(value)), skipped: () => {
      skips += 1;
    },
  }).catch((error: unknown) => error);
  return { asked, heard, skips, pauses, error };
}

t.test('it asks on after the last record, and leaves out what it did not ask for', async (t) => {
  const { asked, heard, pauses } = await read({ batches: [batch(8n, ['eight', 'nine', 'ten', 'eleven']), batch(12n, ['twelve'])] }, { batches: [batch(13n, ['mark'], { attributes: 32 }), batch(14n, [], { lastOffsetDelta: 5 })] }, { batches: [batch(20n, ['twenty'])] });
  t.same(heard, ['ten', 'eleven', 'twelve', 'twenty']);
  t.same(asked, [10n, 13n, 20n]);
  t.same(pauses, []);
});

t.test('far behind the end it jumps there, and says so', async (t) => {
  const near = await read({ batches: [batch(10n, ['ten'])], highWatermark: BigInt(11 + LAG_MAX_ENTRIES) }, { batches: [] });
  t.same([near.asked, near.skips], [[10n, 11n], 0]);
  const far = await read({ batches: [batch(10n, ['ten'])], highWatermark: BigInt(12 + LAG_MAX_ENTRIES) }, { batches: [] });
  t.same([far.asked, far.skips], [[10n, BigInt(12 + LAG_MAX_ENTRIES)], 1]);
});

t.test('a broker that answers the same again, or nothing of what was asked, is left', async (t) => {
  t.match((await read({ batches: [batch(2n, ['two', 'three'])] }, { batches: [] })).error, /other records than requested/);
  t.match((await read({ batches: [], partitions: [] })).error, /without the partition/);
});

t.test('a broker that does not wait for news is asked with pauses', async (t) => {
  const { pauses, asked } = await read({ batches: [] }, { batches: [] }, { batches: [] });
  t.same(pauses, [EMPTY_READ_MS, EMPTY_READ_MS, EMPTY_READ_MS]);
  t.same(asked, [10n, 10n, 10n]);
});
