import t from 'tap';
import { EvenShares } from '../../src/fleet/even-shares.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { recordingLogger } from '../support/logger.ts';

/** What an administrator is told who wants streams shared out evenly, and what is asked of other instances. */

function world({ isOn = true, answers = {}, missing = [], isPartial = false }: { readonly isOn?: boolean; readonly answers?: Readonly<Record<string, unknown>>; readonly missing?: readonly string[]; readonly isPartial?: boolean }) {
  const counters = new Counters();
  const { logger, lines } = recordingLogger();
  let answer: ((body: unknown) => unknown) | undefined;
  let begun = 0;
  const shares = new EvenShares({
    instance: 'instance-1',
    rebalancing: { isOn, shareNow: () => {
      begun++;
      return { streams: 12, moving: isOn ? 4 : 0 };
    } },
    roster: { ask: () => Promise.resolve({ answers: new Map(Object.entries(answers)), missing, isPartial }) },
    control: { answer: (_kind, handler) => void (answer = handler) },
    counters, logger,
  });
  return { shares, counters, lines, hear: () => answer!({}), begun: () => begun };
}

const ACTOR = { name: 'key root', client: '127.0.0.1' };

t.test('it tells how many streams leave each instance, and writes down who wanted it', async (t) => {
  const { shares, lines, counters } = world({ answers: { 'instance-2': { id: 'instance-2', streams: 3, moving: 0 }, 'instance-0': { id: 'instance-0', streams: 9, moving: 1 }, 'instance-3': { id: 'instance-3', streams: 50, moving: 0, off: true } } });
  t.strictSame(await shares.share(ACTOR), { moving: 5, instances: [{ id: 'instance-0', streams: 9, moving: 1 }, { id: 'instance-1', streams: 12, moving: 4 }, { id: 'instance-2', streams: 3, moving: 0 }, { id: 'instance-3', streams: 50, moving: 0, off: true }] });
  t.match(lines, [/shared out evenly/]);
  t.equal(counters.rebalancesAsked, 1);
});

t.test('who did not answer, or answered something that is not understood, is told of', async (t) => {
  t.match(await world({ missing: ['instance-2'] }).shares.share(ACTOR), { partial: true, missing: ['instance-2'], moving: 4 });
  t.match(await world({ isPartial: true }).shares.share(ACTOR), { partial: true, missing: undefined });
  for (const answer of [7, null, {}, { id: 7, streams: 1, moving: 1 }, { id: 'x', streams: '1', moving: 1 }, { id: 'x', streams: 1, moving: -1 }, { id: 'x', streams: 1, moving: 1, off: 'no' }]) {
    t.match(await world({ answers: { x: answer } }).shares.share(ACTOR), { partial: true, moving: 4, instances: { length: 1 } }, JSON.stringify(answer));
  }
});

t.test('an instance with REBALANCE=off refuses, and tells others that it keeps its streams', async (t) => {
  const { shares, hear, begun, counters } = world({ isOn: false });
  await t.rejects(shares.share(ACTOR), { code: 'rebalance-off', status: 409 });
  t.same([begun(), counters.rebalancesAsked], [0, 0]);
  t.strictSame(hear(), { id: 'instance-1', streams: 12, moving: 0, off: true });
  t.strictSame(world({}).hear(), { id: 'instance-1', streams: 12, moving: 4 });
});
