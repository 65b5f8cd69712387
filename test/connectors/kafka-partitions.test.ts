import type { API } from '@platformatic/kafka';
import t from 'tap';
import { beginningsOf, type Led } from '../../src/connectors/kafka/partitions.ts';
import type { Partition } from '../../src/connectors/kafka/records.ts';
import { readInTurns } from '../../src/connectors/kafka/source.ts';
import type { SourcePosition } from '../../src/store/contracts/connector-store.ts';

/** Where a source begins, by what brokers say, without a broker. */

const EARLIEST_TIMESTAMP = -2n;

function partition(index: number, identity = 'id'): Partition {
  return { topic: 'orders', topicId: identity, identity, index, leader: { host: 'one', port: 9092 }, part: `orders/${index}` };
}

/** A broker whose partitions all begin and end at the same offsets. */
function led(partitions: readonly Partition[], start: bigint, end: bigint): Led {
  const ask = async (_: unknown, ...args: readonly unknown[]): Promise<unknown> => {
    const topics = args[2] as readonly { readonly name: string; readonly partitions: readonly { readonly partitionIndex: number; readonly timestamp: bigint }[] }[];
    return { topics: topics.map(({ name, partitions: asked }) => ({ name, partitions: asked.map(({ partitionIndex, timestamp }) => ({ partitionIndex, offset: timestamp === EARLIEST_TIMESTAMP ? start : end })) })) };
  };
  return { partitions, connection: { ask } as { ask<Arguments extends unknown[], Response>(api: API<Arguments, Response>, ...args: Arguments): Promise<Response> } };
}

/** What begins where, and which positions are stored, one list for each step. */
async function begin(leds: readonly Led[], from: 'now' | 'start', stored: Readonly<Record<string, SourcePosition>> = {}): Promise<{ at: Record<string, bigint>; steps: Record<string, SourcePosition>[]; lost: number }> {
  const positions = new Map(Object.entries(stored));
  const steps: Record<string, SourcePosition>[] = [];
  let lost = 0;
  const at = await beginningsOf(leds, from, {
    positions,
    startAt: async (places) => {
      steps.push(Object.fromEntries(places));
      for (const [part, place] of places) positions.set(part, place);
    },
    lost: (records) => {
      lost += records;
    },
  });
  return { at: Object.fromEntries(at), steps, lost };
}

t.test('from now, partitions of several brokers begin at their ends, and all are stored in one step', async (t) => {
  const { at, steps } = await begin([led([partition(0)], 5n, 100n), led([partition(1), partition(2)], 5n, 200n)], 'now');
  t.same(at, { 'orders/0': 100n, 'orders/1': 200n, 'orders/2': 200n });
  t.same(steps.map((step) => Object.keys(step)), [['orders/0', 'orders/1', 'orders/2']]);
  const later = await begin([led([partition(0), partition(1)], 5n, 100n)], 'now', { 'orders/0': { identity: 'id', position: 50 } });
  t.same(later.at, { 'orders/0': 50n, 'orders/1': 5n }, 'a partition that came later begins at its start');
});

t.test('brokers that begin to tell the ids of topics do not have them read again', async (t) => {
  const { at, steps, lost } = await begin([led([partition(0)], 5n, 100n)], 'start', { 'orders/0': { identity: '', position: 50 } });
  t.same(at, { 'orders/0': 50n });
  t.same(steps, [{ 'orders/0': { identity: 'id', position: 50 } }], 'the id is stored');
  t.equal(lost, 0);
  t.same((await begin([led([partition(0)], 5n, 100n)], 'start', { 'orders/0': { identity: 'other', position: 50 } })).at, { 'orders/0': 5n }, 'another id is another topic');
});

t.test('what retention took is counted once, and a position beyond the end goes back', async (t) => {
  const { at, steps, lost } = await begin([led([partition(0), partition(1)], 60n, 100n)], 'start', { 'orders/0': { identity: 'id', position: 50 }, 'orders/1': { identity: 'id', position: 500 } });
  t.same(at, { 'orders/0': 60n, 'orders/1': 100n });
  t.same(steps, [{ 'orders/0': { identity: 'id', position: 60 }, 'orders/1': { identity: 'id', position: 100 } }]);
  t.equal(lost, 10);
});

t.test('partitions that brought something are asked for last the next time', async (t) => {
  const asked: string[] = [];
  await t.rejects(readInTurns(led([0, 1, 2, 3].map((index) => partition(index)), 0n, 0n), async ({ partitions }) => {
    asked.push(partitions.map(({ index }) => index).join(''));
    if (asked.length === 3) throw new Error('that was all');
    // All have much to read: one answer has room for two.
    return new Set(partitions.slice(0, 2));
  }), /that was all/);
  t.same(asked, ['0123', '2301', '0123']);
});
