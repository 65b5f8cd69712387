import type { Test } from 'tap';
import { Filter } from '../../src/topic.ts';
import { draft, EVERYTHING, openStore, range, readMessages, request, seqs, type StoreFactory } from './store-kit.ts';

const ROWS = 1_000_000;
const BATCH = 10_000;
/** Every so many-th message is of the rare topic, and as many of a rare family. */
const RARE = 100_000;

/** In a log of a million messages, reading costs what is found, not what is there. */
export function largeLog(t: Test, name: string, factory: StoreFactory): void {
  t.test(`${name}: a log of a million messages`, async (t) => {
    const store = await openStore(t, await factory(t));
    for (let seq = 1; seq <= ROWS; seq += BATCH) {
      await store.append([request(...range(seq, seq + BATCH - 1).map((number) => draft(topicOf(number))))]);
    }

    await t.test('a rare topic', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['rare']) });
      t.same(seqs(page.messages), range(1, ROWS / RARE).map((index) => index * RARE));
      t.equal(page.scanned, ROWS);
      t.ok(page.examined <= 100, `${page.examined} examined`);
    });

    await t.test('patterns with a first segment', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['family.*', 'family.x.>', 'family.member7']) });
      t.same(seqs(page.messages), range(1, ROWS / RARE).map((index) => index * RARE - 1));
      t.equal(page.scanned, ROWS);
      t.ok(page.examined <= 100, `${page.examined} examined`);
    });

    await t.test('a hundred topics of which most never come', async (t) => {
      const names = [...range(1, 98).map((index) => `never${index}`), 'rare', 'family.*'];
      const page = await store.read({ ...EVERYTHING, filter: new Filter(names) });
      t.equal(page.messages.length, 2 * ROWS / RARE);
      t.equal(page.scanned, ROWS);
      t.ok(page.examined <= 100, `${page.examined} examined`);
    });

    await t.test('a common topic, a few messages from the middle', async (t) => {
      const page = await store.read({ ...EVERYTHING, after: ROWS / 2, filter: new Filter(['common3', 'rare']), limit: 5 });
      t.same(seqs(page.messages), range(1, 5).map((index) => ROWS / 2 + 10 * (index - 1) + 3));
      t.equal(page.scanned, seqs(page.messages).at(-1));
      t.ok(page.examined <= 100, `${page.examined} examined`);
    });

    await t.test('a pattern that begins with a wildcard looks at a bounded stretch at a time', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['*.member5']) });
      t.ok(page.scanned > 0 && page.scanned < ROWS, `it stopped at ${page.scanned}`);
      t.ok(page.examined <= 50_000, `${page.examined} examined`);
      t.same(seqs(await readMessages(store, { filter: new Filter(['*.member5']) })), [5 * RARE - 1]);
    });

    await t.test('a first segment that is common, of which nothing matches, too', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['rooms.*.nothing']) });
      t.same(page.messages, []);
      t.ok(page.scanned > 0 && page.scanned < ROWS, `it stopped at ${page.scanned}`);
      t.ok(page.examined <= 50_000, `${page.examined} examined`);
    });

    await t.test('what is rare far ahead does not come before what a long scan finds on the way', async (t) => {
      const filter = new Filter(['rooms.*.deep', 'rare']);
      const expected = range(1, ROWS / RARE).flatMap((index) => [index * RARE - RARE / 2, index * RARE]);
      t.same(seqs(await readMessages(store, { filter })), expected);
    });

    await t.test('a time', async (t) => {
      const [middle] = (await store.read({ ...EVERYTHING, after: ROWS / 2 - 1, limit: 1 })).messages;
      const { seq } = await store.seek(middle!.time);
      t.equal(seq % BATCH, 0, 'the messages of one batch have one time');
      t.ok(seq < ROWS / 2);
    });
  });
}

function topicOf(number: number): string {
  if (number % RARE === 0) return 'rare';
  if (number % RARE === RARE / 2) return 'rooms.x.deep';
  if (number % RARE === RARE - 1) return `family.member${(number + 1) / RARE}`;
  return number % 10 < 5 ? `common${number % 10}` : `rooms.room${number % 5_000}`;
}
