import type { Test } from 'tap';
import { Ancestry, REMEMBERED_EPOCHS, type LostEpoch } from '../../src/model/ancestry.ts';
import { EPOCH_RANDOM_CHARACTERS, epochName } from '../../src/model/epochs.ts';
import { locate } from '../../src/model/gap.ts';
import type { Position } from '../../src/model/position.ts';
import { KEPT_EPOCHS, PRUNE_EPOCHS } from '../../src/store/limits.ts';
import { draft, keyed, numberedRequests, openStore, readMessages, request, seqs, stored, type StoreFactory } from './store-kit.ts';

/** Invariant 8: a lost or restored log is recognised. */
export async function epochs(t: Test, factory: StoreFactory): Promise<void> {
  await t.test('every start begins a new epoch at head + 1, and every instance learns of it', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    await stored(store, [request(draft('a'), draft('b'))]);
    const other = database.store();
    t.teardown(() => other.close());
    const { lineage } = await other.open();
    t.same(lineage.epochs.map(({ first }) => first), [1, 3]);
    t.equal(new Set(lineage.epochs.map(({ epoch }) => epoch)).size, 2);
    t.ok(lineage.epochs.every(({ epoch }) => /^[a-z0-9]{8,32}$/.test(epoch)));
    t.same((await store.state()).lineage.epochs, lineage.epochs);

    const { outcomes, log } = await store.append([request(draft('c'))]);
    t.match(outcomes, [{ first: 3, epoch: lineage.epochs[1]!.epoch }], 'an instance that was there before goes on in the new epoch');
    const messages = await readMessages(store);
    t.same(messages.map(({ epoch }) => epoch), [lineage.epochs[0]!.epoch, lineage.epochs[0]!.epoch, lineage.epochs[1]!.epoch]);
    t.ok(messages.every((message) => log.lineage.isGood(message)), 'the ids of all epochs are good');
    t.ok(messages.every(({ epoch, seq }) => log.lineage.at(seq).epoch === epoch), 'the lineage names each message\'s epoch');
  });

  await t.test('the name of an epoch tells which one gave the number before it, and its own first', async (t) => {
    const database = await factory(t);
    await openStore(t, database);
    await openStore(t, database);
    const store = await openStore(t, database);
    await stored(store, numberedRequests(20));
    await openStore(t, database);
    const { lineage: { epochs } } = await (await openStore(t, database)).state();
    const parents = [undefined, undefined, undefined, epochs[2]!.epoch, epochs[2]!.epoch];
    t.same(epochs.map(({ first }) => first), [1, 1, 1, 21, 21]);
    t.same(epochs.map(({ epoch }) => epoch), epochs.map(({ epoch, first }, index) => epochName(epoch.slice(0, EPOCH_RANDOM_CHARACTERS), parents[index], first)));
  });

  await t.test('the lineage is one object until it changes', async (t) => {
    const database = await factory(t);
    const store = database.store();
    t.teardown(() => store.close());
    const first = await store.open();
    t.equal((await store.state()).lineage, first.lineage);
    const second = await store.append([request(draft('a'))]);
    const third = await store.read({ after: 0, filter: undefined, limit: 1, maxBytes: 1 });
    t.equal(second.log.lineage, first.lineage);
    t.equal(third.log.lineage, first.lineage);
    await openStore(t, database);
    t.not((await store.state()).lineage, first.lineage);
  });

  await t.test('epochs begun without a message between them: the last one counts', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const { lineage: { epochs: [first] } } = await store.state();
    await openStore(t, database);
    const { log } = await store.append([request(draft('a'))]);
    t.ok(log.lineage.isGood({ epoch: log.lineage.epochs[1]!.epoch, seq: 1 }));
    t.notOk(log.lineage.isGood({ epoch: first!.epoch, seq: 1 }), 'number 1 was never given in the first');
  });

  await t.test('epochs that never had a message are forgotten, but for the newest; epochs of present messages and keys stay', async (t) => {
    const database = await factory(t);
    let store = await openStore(t, database);
    await stored(store, [keyed('kept', [draft('a')])]);
    await store.close();
    await database.beginEpochs(3 * KEPT_EPOCHS);
    store = await openStore(t, database);
    await stored(store, [request(draft('a'), draft('b'))]);
    await store.close();
    await database.beginEpochs(3 * KEPT_EPOCHS);

    store = await openStore(t, database);
    const { lineage } = await (await openStore(t, database)).state();
    t.ok(lineage.epochs.length >= KEPT_EPOCHS && lineage.epochs.length < KEPT_EPOCHS + PRUNE_EPOCHS, String(lineage.epochs.length));
    t.equal(lineage.epochs.filter(({ epoch }) => epoch.startsWith('crashed3x')).length, lineage.epochs.length - 4, 'the newest stay');
    const messages = await readMessages(store);
    t.same(seqs(messages), [1, 2, 3]);
    t.ok(messages.every((message) => lineage.isGood(message)), 'every id is good');
    t.match((await store.append([keyed('kept', [draft('a')]), request(draft('a'))])).outcomes, [{ kind: 'replayed', epoch: messages[0]!.epoch, first: 1 }, { kind: 'stored', first: 4 }]);
  });

  await t.test('after an older copy was put in its place, no id means two messages', async (t) => {
    const database = await factory(t);
    let store = await openStore(t, database);
    await stored(store, [request(draft('a', 'kept'), draft('a', 'kept too'))]);
    await store.close();
    const restore = await database.backup();
    store = await openStore(t, database);
    await stored(store, [request(draft('a', 'lost'), draft('a', 'lost too'))]);
    const before: Position[] = await readMessages(store);
    const lost = (await store.state()).lineage;
    await store.close();
    await restore();

    store = await openStore(t, database);
    const copy = await store.state();
    t.equal(copy.head, 2);
    const { log } = await store.append([request(draft('a', 'new'), draft('a', 'new too'), draft('a', 'newest'))]);
    t.same(before.map((position) => log.lineage.isGood(position)), [true, true, false, false]);
    const after = await readMessages(store);
    t.ok(after.every((message) => log.lineage.isGood(message)));
    // The epoch of what was lost began after the copy was made: who has seen nothing of it goes by its name.
    for (const state of [copy, log]) {
      const places = before.slice(2).map((position) => locate(position, state, new Ancestry()));
      t.match(places, Array(2).fill({ at: { epoch: before[1]!.epoch, seq: 2 }, gap: { reason: 'forked' } }), 'who had read what was lost goes on where both logs part');
    }
    t.same(after.filter(({ seq }) => seq > 2).map((message) => lost.isGood(message)), [false, false, false], 'nor in the other direction');
  });

  await t.test('each lost epoch is recorded once, by the first to report it, and the newest records stay', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const other = await openStore(t, database);
    t.same(await store.lost(), []);
    await store.keepLost([]);
    const known = (from: number, count: number): LostEpoch[] => Array.from({ length: count }, (_, index) => ({ epoch: `lost${String(from + index).padStart(6, '0')}`, before: { epoch: 'parent00', seq: 2 ** 40 + index } }));
    const first = known(0, 3);
    await store.keepLost(first);
    await other.keepLost([{ epoch: first[1]!.epoch, before: { epoch: 'another0', seq: 7 } }, ...known(3, 1)]);
    for (const one of [store, other]) t.same(await one.lost(), [...first, ...known(3, 1)]);
    await store.keepLost(known(10, REMEMBERED_EPOCHS - 1));
    t.same((await other.lost()).map(({ epoch }) => epoch), [...known(3, 1), ...known(10, REMEMBERED_EPOCHS - 1)].map(({ epoch }) => epoch));
    await Promise.all([store.keepLost(known(2_000, 5)), other.keepLost(known(2_000, 5)), other.keepLost(known(2_003, 5))]);
    t.equal(new Set((await store.lost()).map(({ epoch }) => epoch)).size, REMEMBERED_EPOCHS);
    // Any of the three may be the first.
    t.same((await store.lost()).slice(-8).map(({ epoch }) => epoch).sort(), known(2_000, 8).map(({ epoch }) => epoch));
  });
}
