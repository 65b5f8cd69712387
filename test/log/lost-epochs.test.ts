import t from 'tap';
import { MemoryStore } from '../support/memory-store.ts';
import { begin } from '../support/spine.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { Filter } from '../../src/model/topic.ts';
import type { Position } from '../../src/model/position.ts';
import type { Start } from '../../src/model/gap.ts';

/** Invariant 8, for instances that began after the loss: another one that knew the lost epochs has kept where they came from. */

/** Who was handed something of the third of three epochs that begin one after the other, and that a copy has never heard of. */
async function loseChain(store: MemoryStore): Promise<Position> {
  for (let count = 0; count < 3; count++) {
    await store.open();
    store.commit();
  }
  return store.commit();
}

const resolve = (log: Awaited<ReturnType<typeof begin>>, position: Position): Promise<Start> => log.starts.resolve({ kind: 'after', position }, { filter: new Filter(['a']), hasLeft: () => false });
const another = async (t: Scope, store: MemoryStore): Promise<Awaited<ReturnType<typeof begin>>> => begin(t, { store });

void t.test('an instance that was not there is told by one that was', async (t) => {
  const store = new MemoryStore();
  const log = await begin(t, { store, messages: 20 });
  const cursor = await loseChain(store);
  await log.tail.look();
  await store.loseEpochs(3);
  await log.tail.look();
  t.match(await resolve(log, cursor), { at: { seq: 20 }, gap: { reason: 'forked' } }, 'who was there knows it');
  await until('it has kept what it knows', async () => (await store.lost()).length === 3);
  const newcomer = await another(t, store);
  t.match(await resolve(newcomer, cursor), { at: { seq: 20 }, gap: { reason: 'forked' } });
  t.match(await resolve(newcomer, { epoch: 'madeup00', seq: 5 }), { at: { seq: 0 }, gap: { reason: 'unknown-log' } }, 'what nobody knows stays unknown');
});

void t.test('the record goes with a copy that lacks it, and is stored again', async (t) => {
  const store = new MemoryStore();
  const log = await begin(t, { store, messages: 20 });
  const cursor = await loseChain(store);
  await log.tail.look();
  await store.loseEpochs(3);
  await log.tail.look();
  store.commit();
  await until('it has kept what it knows', async () => (await store.lost()).length === 3);
  await store.restore(10);
  t.equal((await store.lost()).length, 0);
  await log.tail.look();
  await until('it has kept it again', async () => (await store.lost()).length >= 3);
  t.match(await resolve(await another(t, store), cursor), { at: { seq: 10 }, gap: { reason: 'forked' } });
});

void t.test('where it cannot be kept at once, it is kept later; and nobody is told something wrong where it cannot be read', async (t) => {
  const store = new MemoryStore();
  const log = await begin(t, { store, messages: 20 });
  const { clock } = log;
  const cursor = await loseChain(store);
  await log.tail.look();
  await store.loseEpochs(3);
  const keep = store.keepLost.bind(store);
  let failures = 0;
  store.keepLost = async (lost) => {
    if (failures++ < 2) await store.fails('unavailable');
    return keep(lost);
  };
  await log.tail.look();
  await until('it has failed', () => failures === 1);
  for (const expected of [2, 3]) await until('it is tried again', async () => {
    await clock.advance(1_000);
    return failures === expected;
  });
  await until('it has kept what it knows', async () => (await store.lost()).length === 3);
  const newcomer = await another(t, store);
  const lost = store.lost.bind(store);
  store.lost = () => store.fails('unavailable');
  await t.rejects(resolve(newcomer, cursor), { message: 'unavailable' });
  store.lost = lost;
  t.match(await resolve(newcomer, cursor), { gap: { reason: 'forked' } });
});
