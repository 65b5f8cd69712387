import t from 'tap';
import type { Transport } from '../../src/connectors/transport.ts';
import { ConnectedLog } from '../support/connectors.ts';
import { until } from '../support/until.ts';
import { SqliteDatabase } from '../store/sqlite/database.ts';

const HANGING = 6;
const LARGE_BYTES = 100_000;
const LARGE_MESSAGES = 48;

/** Sinks that take what they are given and never say so, but for those of one name. */
function transport(given: Map<string, string[]>): Transport {
  return {
    source: { members: [], fields: [], topic: 'a', read: () => { throw new Error('no source'); } },
    sink: { members: [], target: { member: 'to', otherwise: 'x', whyNot: () => undefined }, read: (_given, { name }) => ({ place: 'test', load: () => Promise.resolve(), open: ({ signal }) => Promise.resolve({
      lost: new Promise(() => undefined),
      close: () => Promise.resolve(),
      send: async (messages, sent) => {
        given.set(name, [...given.get(name) ?? [], ...messages.map(({ data }) => Buffer.from(data).toString())]);
        if (name === 'works') for (const _message of messages) sent();
        else await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('it stops'))));
      },
    }) }) },
  };
}

t.test('sinks that hang with large messages keep no memory from the others', async (t) => {
  const given = new Map<string, string[]>();
  const hanging = Array.from({ length: HANGING }, (_, index) => `hangs${index}`);
  const declared = Object.fromEntries([...hanging, 'works'].map((name) => [name, { kind: 'sink', of: 'test', topics: [name === 'works' ? 'small' : 'large'], from: 'start' }]));
  const log = await ConnectedLog.open(t, new SqliteDatabase(t).store(), declared, { test: transport(given) });
  // In one commit, so that each finds all of them.
  await log.publishText('large', ...Array.from({ length: LARGE_MESSAGES }, () => 'x'.repeat(LARGE_BYTES)));
  await until('all have some', () => hanging.every((name) => (given.get(name)?.length ?? 0) > 0));
  await log.publishText('small', 'one', 'two');
  await until('the other gets its messages', () => given.get('works')?.length === 2);
  t.same(given.get('works'), ['one', 'two']);
  t.same(log.lines.filter((line) => line.includes('a sink is waiting')), [], 'none was refused');
});
