import { setImmediate as turn } from 'node:timers/promises';
import type { Test } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import { ERASURES_MAX_ENTRIES } from '../../src/store/contracts/erasure-store.ts';
import { LevelTooLow } from '../../src/store/level.ts';
import { ERASE_SCAN_MAX_ROWS } from '../../src/store/limits.ts';
import type { Store } from '../../src/store/store.ts';
import { draft, EVERYTHING, failure, keyed, newlyStored, numberedRequests, openStore, range, readMessages, request, seqs, stored, texts, type StoreFactory } from './store-kit.ts';

const NOTHING = { maxAge: 0, maxBytes: 0, rows: 1_000 };

/** The numbers of the messages that are tombstones. */
async function tombstones(store: Store): Promise<number[]> {
  return seqs((await readMessages(store)).filter(({ isErased }) => isErased));
}

export async function erasures(t: Test, factory: StoreFactory): Promise<void> {
  await t.test('an erased message keeps its number, epoch, topic, time and expiry; its data and event name are gone, for every instance and every way of reading', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const other = await openStore(t, database);
    await stored(store, [request(draft('a.b', '{"secret":1}', { event: 'leak', json: true, ttl: 600 }), draft('a.b', 'kept'))]);
    const [before] = await readMessages(store);
    t.equal(await other.erasures.eraseMessage(before!), 'erased');
    for (const filter of [undefined, new Filter(['a.b']), new Filter(['a.*']), new Filter(['>'])]) {
      const [message, kept] = (await store.read({ ...EVERYTHING, filter })).messages;
      t.match(message, { seq: 1, epoch: before!.epoch, topic: 'a.b', time: before!.time, expires: before!.expires, event: '$erased', json: false, isErased: true });
      t.equal(message!.data.length, 0);
      t.match(kept, { seq: 2, isErased: false });
    }
    t.match(await store.findBack({ before: 10, filter: new Filter(['a.b']), limit: 10 }), { seqs: [2, 1] });
    t.match(await store.state(), { head: 2, oldest: 1, erasures: 1 });
    t.match(await store.seek(before!.time), { seq: 0, missing: false });
  });

  await t.test('only present messages are erased, and only once', async (t) => {
    const store = await openStore(t, await factory(t));
    const { outcomes } = await store.append(numberedRequests(4));
    const { epoch } = newlyStored(outcomes[0]);
    t.equal(await store.erasures.eraseMessage({ epoch, seq: 2 }), 'erased');
    t.equal(await store.erasures.eraseMessage({ epoch, seq: 2 }), 'before');
    for (const position of [{ epoch, seq: 5 }, { epoch, seq: 0 }, { epoch: 'other00000', seq: 1 }]) t.equal(await store.erasures.eraseMessage(position), 'absent');
    const { bytes } = await store.trim(NOTHING);
    await store.trim({ ...NOTHING, maxBytes: bytes - 1 });
    t.equal(await store.erasures.eraseMessage({ epoch, seq: 1 }), 'absent', 'retention has deleted it');
    t.same(texts(await readMessages(store)), ['', '3', '4']);
    t.equal((await store.state()).erasures, 1, 'what erases nothing takes no version');
  });

  await t.test('a position is that of its own epoch', async (t) => {
    const database = await factory(t);
    const first = await openStore(t, database);
    await first.append(numberedRequests(1));
    const second = await openStore(t, database);
    await second.append(numberedRequests(1));
    const [one, two] = await readMessages(first);
    t.equal(await first.erasures.eraseMessage({ epoch: two!.epoch, seq: 1 }), 'absent');
    t.match(await first.erasures.eraseTopic({ topic: 'numbers', after: 0, through: { epoch: one!.epoch, seq: 2 }, rows: 10 }), { erased: 0, more: false });
    t.equal(await first.erasures.eraseMessage(two!), 'erased');
    t.equal(await first.erasures.eraseMessage(one!), 'erased');
  });

  await t.test('a topic is erased up to a message, in steps, and no other topic is', async (t) => {
    const store = await openStore(t, await factory(t));
    // More than the index of SQLite keeps in its newest part.
    const { log } = await store.append(range(1, 1_500).map((n) => request(draft(['a', 'a.b', 'b'][n % 3]!, `<${n}>`))));
    const through = log.lineage.at(1_400);
    await store.erasures.eraseMessage(log.lineage.at(4));
    const steps: [number, boolean][] = [];
    for (let after = 0, more = true; more;) {
      const step = await store.erasures.eraseTopic({ topic: 'a.b', after, through, rows: 200 });
      t.ok(step.scanned > after);
      after = step.scanned;
      more = step.more;
      steps.push([step.erased, more]);
    }
    t.same(steps, [[200, true], [200, true], [66, false]], 'what was erased before does not count');
    t.same(await tombstones(store), range(1, 1_400).filter((n) => n % 3 === 1));
    t.match(await store.erasures.eraseTopic({ topic: 'a.b', after: 0, through, rows: 200 }), { erased: 0, scanned: 1_400, more: false });
    t.match(await store.erasures.eraseTopic({ topic: 'nothing', after: 0, through, rows: 200 }), { erased: 0, scanned: 1_400, more: false });
  });

  await t.test('the changes after a version are told in order; what cannot be told whole is not told', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const other = await openStore(t, database);
    t.match(await store.erasures.changes(0), { version: 0, erasures: [] });
    const { log } = await store.append(range(1, 9).map((n) => request(draft(n % 2 === 0 ? 'even' : 'odd', 'x'))));
    await store.erasures.eraseMessage(log.lineage.at(8));
    await other.erasures.eraseTopic({ topic: 'odd', after: 0, through: log.lineage.at(6), rows: 2 });
    await store.erasures.eraseMessage(log.lineage.at(2));
    const all = [{ seq: 8, topic: 'even', isPrefix: false }, { seq: 3, topic: 'odd', isPrefix: true }, { seq: 2, topic: 'even', isPrefix: false }];
    t.match(await other.erasures.changes(0), { version: 3, erasures: all, log: { head: 9 } });
    t.same((await other.erasures.changes(2)).erasures, all.slice(2));
    t.same((await other.erasures.changes(3)).erasures, []);
    t.equal((await other.erasures.changes(4)).erasures, undefined, 'a version that this log never gave');
    t.equal((await store.read(EVERYTHING)).log.erasures, 3, 'every page says by which version it was read');
  });

  await t.test('more changes than fit into an answer are told in several', async (t) => {
    const store = await openStore(t, await factory(t));
    const count = ERASURES_MAX_ENTRIES + 1;
    const { log } = await store.append(numberedRequests(count));
    for (const seq of range(1, count)) await store.erasures.eraseMessage(log.lineage.at(seq));
    const first = await store.erasures.changes(0);
    t.match(first, { version: ERASURES_MAX_ENTRIES, more: true });
    t.same(first.erasures?.map(({ seq }) => seq), range(1, ERASURES_MAX_ENTRIES));
    t.match(await store.erasures.changes(ERASURES_MAX_ENTRIES), { version: count, more: false, erasures: [{ seq: count }] });
    t.match(await store.erasures.changes(1), { version: count, more: false });
  });

  await t.test('a step begins after the tombstones that the steps before have left, however many', async (t) => {
    const store = await openStore(t, await factory(t));
    const { log } = await store.append([...range(1, ERASE_SCAN_MAX_ROWS + 2).map(() => request(draft('a', ''))), request(draft('b', ''))]);
    const through = log.lineage.at(log.head);
    const first = await store.erasures.eraseTopic({ topic: 'a', after: 0, through, rows: ERASE_SCAN_MAX_ROWS });
    t.match(first, { erased: ERASE_SCAN_MAX_ROWS, more: true });
    t.match(await store.erasures.eraseTopic({ topic: 'a', after: 0, through, rows: 10 }), { erased: 2, more: false });
    t.match(await store.erasures.eraseTopic({ topic: 'b', after: 0, through, rows: 10 }), { erased: 1, more: false }, 'another topic begins at its own');
  });

  await t.test('the size of the log is less by the data, and retention takes off the rest', async (t) => {
    const store = await openStore(t, await factory(t));
    const { log } = await store.append([...range(1, 10).map(() => request(draft('größe', Buffer.alloc(10_000)))), request(draft('other', 'x'.repeat(500)))]);
    const before = (await store.trim(NOTHING)).bytes;
    await store.erasures.eraseMessage(log.lineage.at(10));
    t.equal((await store.trim(NOTHING)).bytes, before - 10_000);
    await store.erasures.eraseTopic({ topic: 'größe', after: 0, through: log.lineage.at(5), rows: 100 });
    t.equal((await store.trim(NOTHING)).bytes, before - 60_000);
    const { bytes, messages } = await store.trim({ ...NOTHING, maxBytes: 1 });
    t.same([bytes, messages], [0, 11], 'to the byte');
  });

  await t.test('an idempotency key still answers its first answer', async (t) => {
    const store = await openStore(t, await factory(t));
    const first = await store.append([keyed('once', [draft('a', 'secret')])]);
    await store.erasures.eraseMessage(first.log.lineage.at(1));
    const again = await store.append([keyed('once', [draft('a', 'secret')])]);
    t.same(again.outcomes, [{ ...newlyStored(first.outcomes[0]), kind: 'replayed' }]);
    t.equal(again.log.head, 1);
  });

  await t.test('below its level nothing is erased, and that is said', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const { log } = await store.append(numberedRequests(2));
    await database.setLevel(1);
    await t.rejects(store.erasures.eraseMessage(log.lineage.at(1)), LevelTooLow);
    await t.rejects(store.erasures.eraseTopic({ topic: 'numbers', after: 0, through: log.lineage.at(2), rows: 10 }), LevelTooLow);
    t.same(await tombstones(store), []);
    await database.setLevel(2);
    t.equal(await store.erasures.eraseMessage(log.lineage.at(1)), 'erased');
    await database.setLevel(99);
    t.equal(await failure(store.erasures.eraseMessage(log.lineage.at(2))), 'unavailable', 'a level that it does not understand');
    t.equal(await failure(store.erasures.changes(0)), 'unavailable');
  });

  await t.test('a restored backup brings erased messages back, and its versions are not taken for the lost ones', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const { log } = await store.append(numberedRequests(4));
    await store.erasures.eraseMessage(log.lineage.at(1));
    await store.close();
    const restore = await database.backup();
    const second = await openStore(t, database);
    await second.erasures.eraseMessage(log.lineage.at(2));
    const { version } = await second.erasures.changes(0);
    await second.close();
    await restore();
    const third = await openStore(t, database);
    t.same(await tombstones(third), [1]);
    t.equal((await third.erasures.changes(version)).erasures, undefined, 'an instance that had seen the lost version is told that it knows nothing');
    t.equal(await third.erasures.eraseMessage(log.lineage.at(2)), 'erased');
  });

  await t.test('wiping comes to an end, and then has nothing to do', async (t) => {
    const store = await openStore(t, await factory(t));
    t.equal(await store.erasures.wipe(), 'done');
    const { log } = await store.append(numberedRequests(3));
    await store.erasures.eraseMessage(log.lineage.at(2));
    for (let steps = 0; await store.erasures.wipe() !== 'done';) if (++steps > 100) throw new Error('it does not come to an end');
    t.equal(await store.erasures.wipe(), 'done');
    t.same(await tombstones(store), [2]);
  });

  await t.test('beside appends, reads and retention of other instances: no number is missing, nothing comes back, and the bytes are right', async (t) => {
    const database = await factory(t);
    const [store, publisher, trimmer] = [await openStore(t, database), await openStore(t, database), await openStore(t, database)];
    await stored(publisher, range(1, 300).map(() => request(draft('a', 'secret'), draft('b', 'kept'))));
    const { log } = await store.append([request(draft('end', ''))]);
    let isRunning = true;
    const others = [
      (async () => {
        while (isRunning) await publisher.append([request(draft('b', 'kept'))]);
      })(),
      (async () => {
        for (let { bytes } = await trimmer.trim(NOTHING); isRunning; bytes -= 200) {
          await trimmer.trim({ ...NOTHING, maxBytes: bytes, rows: 3 });
          await turn();
        }
      })(),
      (async () => {
        while (isRunning) {
          const page = await store.read(EVERYTHING);
          const found = seqs(page.messages);
          if (found.join() !== range(page.log.oldest, page.log.oldest + found.length - 1).join()) t.fail(`from ${page.log.oldest} it read ${found.join()}`);
        }
      })(),
    ];
    let erased = 0;
    for (let after = 0, more = true; more;) {
      const step = await store.erasures.eraseTopic({ topic: 'a', after, through: log.lineage.at(log.head), rows: 20 });
      erased += step.erased;
      ({ scanned: after, more } = step);
      if (erased > 60) await turn();
    }
    isRunning = false;
    await Promise.all(others);
    t.ok(erased > 0 && erased <= 300);
    const messages = await readMessages(store);
    t.ok(messages.every(({ topic, isErased }) => isErased === (topic === 'a')));
    const last = await store.trim({ ...NOTHING, maxBytes: 1, rows: 100_000 });
    t.same([last.bytes, last.more], [0, false]);
  });
}
