import { setImmediate as turn } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Store } from '../../src/store/store.ts';
import { readingBack } from './store-back.ts';
import { believedClock } from './store-clock.ts';
import { epochs } from './store-epochs.ts';
import { erasures } from './store-erasures.ts';
import { keys } from './store-keys.ts';
import { draft, everyCall, EVERYTHING, failure, firstOf, impossible, keyed, newlyStored, numberedRequests, openStore, range, readMessages, readPages, request, seqs, stored, texts, type StoreFactory } from './store-kit.ts';
import { reading } from './store-reading.ts';
import { retention } from './store-retention.ts';

/** What every store must do: see the comments of `Store`. `largeLog` in store-large.ts belongs to it, and takes a while. */
export function storeContract(t: Test, name: string, factory: StoreFactory): void {
  t.test(`${name}: appending`, (t) => appending(t, factory));
  t.test(`${name}: idempotency keys`, (t) => keys(t, factory));
  t.test(`${name}: reading`, (t) => reading(t, factory));
  t.test(`${name}: reading back`, (t) => readingBack(t, factory));
  t.test(`${name}: retention`, (t) => retention(t, factory));
  t.test(`${name}: the believed clock`, (t) => believedClock(t, factory));
  t.test(`${name}: erasures`, (t) => erasures(t, factory));
  t.test(`${name}: epochs`, (t) => epochs(t, factory));
  t.test(`${name}: opening and closing`, (t) => life(t, factory));
}

async function appending(t: Test, factory: StoreFactory): Promise<void> {
  const database = await factory(t);
  const store = await openStore(t, database);
  const other = await openStore(t, database);

  await t.test('an empty log has no number', async (t) => {
    const log = await store.state();
    t.match(log, { head: 0, oldest: 1 });
    t.match(await store.read(EVERYTHING), { messages: [], scanned: 0, log: { head: 0, oldest: 1 } });
    t.match(await store.seek(Date.now()), { seq: 0, missing: false });
    t.match(await store.seek(0), { seq: 0, missing: false });
  });

  await t.test('numbers follow each other, over messages, requests and instances', async (t) => {
    const first = await store.append([request(draft('a'), draft('b')), request(draft('c'))]);
    t.same(first.outcomes.map(firstOf), [1, 3]);
    t.match(first.log, { head: 3, oldest: 1 });
    const second = await other.append([request(draft('d'))]);
    t.same(second.outcomes.map(firstOf), [4]);
    t.equal(second.log.head, 4);
    t.same(seqs(await readMessages(store)), [1, 2, 3, 4]);
  });

  await t.test('every part of a message comes back as it was', async (t) => {
    const { head } = await store.state();
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    const pooled = Buffer.from('a slice of a larger buffer').subarray(2, 7);
    const drafts = [
      draft('bytes', bytes),
      draft('zeros', '\0\0\r\n\0', { event: 'zero' }),
      draft('größe.日本.🚀', ''),
      draft('json', '{"n":12345678901234567890, "s":"\\ud800"}', { json: true, event: 'order created' }),
      draft('not-utf8', Uint8Array.of(0xff, 0xfe, 0x80)),
      draft('slice', pooled),
      draft('x'.repeat(255), 'long', { ttl: 60 }),
      draft('large', Buffer.alloc(3_000_000, 'é\0')),
    ];
    const { outcomes, log } = await store.append([request(...drafts)]);
    const { epoch, time } = newlyStored(outcomes[0]);
    const messages = await readMessages(other, { after: head });
    const shown = (one: { topic: string; event: string | undefined; json: boolean; data: Uint8Array }): unknown[] =>
      [one.topic, one.event, one.json, Buffer.from(one.data).toString('base64')];
    t.same(messages.map(shown), drafts.map(shown));
    t.same(messages.map((message) => [message.seq, message.epoch, message.time, message.expires]),
      drafts.map(({ ttl }, index) => [head + 1 + index, epoch, time, ttl === 0 ? 0 : time + 60_000]));
    t.ok(log.lineage.isGood(messages.at(-1)!), 'the ids are good in the log that was answered with');
  });

  await t.test('an empty append shows nothing to a reader', async (t) => {
    const before = await store.state();
    const { outcomes, log } = await store.append([]);
    t.same(outcomes, []);
    t.match(log, { head: before.head, oldest: before.oldest });
    t.equal((await other.state()).head, before.head);
  });

  await t.test('a request without messages takes no number', async (t) => {
    const { head } = await store.state();
    t.same(await stored(store, [request(), request(draft('a')), request()]), [head + 1, head + 1, head + 2]);
    t.equal((await store.state()).head, head + 1);
  });

  await t.test('of a list with a row that cannot be stored, nothing is', async (t) => {
    const { head } = await store.state();
    t.equal(await failure(store.append([...numberedRequests(50), keyed('lost', [draft('a')]), impossible()])), 'refused');
    t.equal((await store.state()).head, head);
    const { outcomes } = await store.append([keyed('lost', [draft('b')])]);
    t.match(outcomes, [{ kind: 'stored', first: head + 1 }], 'neither its numbers nor its keys are taken');
  });

  await t.test('the caller\'s objects are not changed, and may be used again', async (t) => {
    const data = Buffer.from('kept');
    const drafts = [draft('a', data)];
    const first = await stored(store, [request(...drafts)]);
    const second = await stored(store, [request(...drafts)]);
    t.equal(data.toString(), 'kept');
    t.same(texts(await readMessages(store, { after: first[0]! - 1 })), ['kept', 'kept']);
    t.same(second, [first[0]! + 1]);
  });

  await t.test('time never decreases, also when the clock was set back', async (t) => {
    const ahead = Date.now() + 3_600_000;
    await database.clockWasAhead(3_600_000);
    const { outcomes, log } = await other.append([request(draft('later', '', { ttl: 10 }))]);
    const outcome = newlyStored(outcomes[0]);
    t.ok(outcome.time >= ahead, 'a message is not older than the one before it');
    t.ok(log.now >= outcome.time, 'nor is the store\'s clock');
    t.ok((await store.state()).now >= outcome.time);
    t.equal((await readMessages(store, { after: outcome.first - 1 }))[0]!.expires, outcome.time + 10_000, 'a TTL runs by the same clock');
  });

  await t.test('appends of two instances at once: no number is missing, none is given twice, no request is torn', async (t) => {
    const { head } = await store.state();
    let running = true;
    const watched: number[] = [];
    const watch = (async () => {
      let after = head;
      // One more round at the end, for what came last.
      for (let last = false; !last;) {
        last = !running;
        const page = await store.read({ ...EVERYTHING, after });
        watched.push(...seqs(page.messages));
        after = page.scanned;
        await turn();
      }
    })();
    const append = async (through: Store, name: string): Promise<[string, number][]> => {
      const answers: [string, number][] = [];
      for (let round = 0; round < 40; round++) {
        const names = range(0, 2).map((part) => `${name}.${round}.${part}`);
        const firsts = await stored(through, names.map((one) => request(draft('many', one), draft('many', one), draft('many', one))));
        names.forEach((one, index) => answers.push([one, firsts[index]!]));
      }
      return answers;
    };
    const answers = await Promise.all([append(store, 'a'), append(store, 'b'), append(other, 'c'), append(other, 'd')]);
    running = false;
    await watch;
    const messages = await readMessages(store, { after: head });
    t.same(seqs(messages), range(head + 1, head + 4 * 40 * 9));
    t.same(watched, seqs(messages), 'a reader that follows sees each number once, in order, without a hole');
    for (const [name, first] of answers.flat()) {
      const at = first - head - 1;
      if (!texts(messages.slice(at, at + 3)).every((text) => text === name)) t.fail(`${name} is not where its answer says`);
    }
    t.ok(messages.every((message, index) => index === 0 || message.time >= messages[index - 1]!.time), 'times are in order');
  });
}

async function life(t: Test, factory: StoreFactory): Promise<void> {
  const database = await factory(t);

  await t.test('before it is open and after it was closed, everything is unavailable', async (t) => {
    const store = database.store();
    for (const call of everyCall(store)) t.equal(await failure(call()), 'unavailable');
    await store.open();
    await store.close();
    for (const call of everyCall(store)) t.equal(await failure(call()), 'unavailable');
    t.equal(await failure(store.open()), 'unavailable');
  });

  await t.test('closing lets calls under way finish, and may be done twice, or without opening', async (t) => {
    const store = await openStore(t, database);
    const appends = range(1, 20).map(() => stored(store, [request(draft('closing'))]));
    const reads = range(1, 5).map(() => store.state());
    await Promise.all([store.close(), store.close()]);
    const firsts = (await Promise.all(appends)).flat();
    await Promise.all(reads);
    await store.close();
    const again = await openStore(t, database);
    t.same(seqs(await readMessages(again)), firsts);
    await again.close();
    await database.store().close();
  });

  await t.test('a log keeps its id, every instance knows it, and no other log has it', async (t) => {
    const ids: string[] = [];
    for (const one of [database, database, await factory(t)]) ids.push((await openStore(t, one)).logId);
    t.equal(ids[0], ids[1]);
    t.not(ids[0], ids[2]);
    t.match(ids[0], /^[a-z0-9]{8,}$/);
  });

  await t.test('many instances that open an empty database at once agree on it', async (t) => {
    const fresh = await factory(t);
    const stores = range(1, 5).map(() => fresh.store());
    t.teardown(() => Promise.all(stores.map((store) => store.close())));
    await Promise.all(stores.map((store) => store.open()));
    t.equal(new Set(stores.map(({ logId }) => logId)).size, 1);
    const { outcomes, log } = await stores[0]!.append([request(draft('a'))]);
    t.match(outcomes, [{ first: 1, epoch: log.lineage.epochs.at(-1)!.epoch }]);
    t.equal(log.lineage.epochs.length, 5);
    for (const store of stores) t.same((await readPages(store)).flatMap(({ messages }) => seqs(messages)), [1]);
  });
}
