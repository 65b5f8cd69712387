import type { Test } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import { walkBack } from './store-back.ts';
import { draft, EVERYTHING, openStore, range, readMessages, request, seqs, type StoreFactory } from './store-kit.ts';

/** Messages of one request. */
const REQUEST_MESSAGES = 10_000;
/** Messages of the rare topic, and as many of a rare family. */
const RARE_MESSAGES = 10;
/** What a read may examine to find these few: a bound that no part of the log comes near. */
const EXAMINED_MAX_ROWS = 100;
/** What a read may examine that cannot know where to look: a part of the log only. */
const SCANNED_MAX_ROWS = 20_000;

/** Reading costs what is found, not what is there, in a log of so many messages: enough that a look at all of a common topic is many times what a read may cost. */
export function largeLog(t: Test, name: string, factory: StoreFactory, rows: number): void {
  t.test(`${name}: a log of ${rows} messages`, async (t) => {
    const store = await openStore(t, await factory(t));
    /** Every so many-th message is a rare one. */
    const rare = rows / RARE_MESSAGES;
    for (let seq = 1; seq <= rows; seq += REQUEST_MESSAGES) {
      await store.append([request(...range(seq, seq + REQUEST_MESSAGES - 1).map((number) => draft(topicOf(number, rare))))]);
    }

    await t.test('a rare topic', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['rare']) });
      t.same(seqs(page.messages), range(1, RARE_MESSAGES).map((index) => index * rare));
      t.equal(page.scanned, rows);
      t.ok(page.examined <= EXAMINED_MAX_ROWS, `${page.examined} examined`);
    });

    await t.test('patterns with a first segment', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['family.*', 'family.x.>', 'family.member7']) });
      t.same(seqs(page.messages), range(1, RARE_MESSAGES).map((index) => index * rare - 1));
      t.equal(page.scanned, rows);
      t.ok(page.examined <= EXAMINED_MAX_ROWS, `${page.examined} examined`);
    });

    await t.test('patterns whose first segment is common, and whose matches are rare', async (t) => {
      for (const names of [['rooms.few.*'], ['rooms.few.>', 'rooms.none.x.>', 'rooms.few.*.x'], ['rooms.few.*', 'family.x', 'rooms.few.member3'], ['rooms.few.member3.>', 'rooms.few.*']]) {
        const filter = new Filter(names);
        const page = await store.read({ ...EVERYTHING, filter });
        t.same(seqs(page.messages), range(1, RARE_MESSAGES).map((index) => index * rare - 2), names.join());
        t.equal(page.scanned, rows);
        t.ok(page.examined <= EXAMINED_MAX_ROWS, `${page.examined} examined`);
        const back = await store.findBack({ before: rows + 1, filter, limit: RARE_MESSAGES + 1 });
        t.same(back.seqs, seqs(page.messages).reverse());
        t.ok(back.examined <= EXAMINED_MAX_ROWS, `${back.examined} examined`);
      }
    });

    await t.test('a hundred topics of which most never come', async (t) => {
      const names = [...range(1, 98).map((index) => `never${index}`), 'rare', 'family.*'];
      const page = await store.read({ ...EVERYTHING, filter: new Filter(names) });
      t.equal(page.messages.length, 2 * RARE_MESSAGES);
      t.equal(page.scanned, rows);
      t.ok(page.examined <= EXAMINED_MAX_ROWS, `${page.examined} examined`);
    });

    await t.test('a common topic, a few messages from the middle', async (t) => {
      const page = await store.read({ ...EVERYTHING, after: rows / 2, filter: new Filter(['common3', 'rare']), limit: 5 });
      t.same(seqs(page.messages), range(1, 5).map((index) => rows / 2 + 10 * (index - 1) + 3));
      t.equal(page.scanned, seqs(page.messages).at(-1));
      t.ok(page.examined <= EXAMINED_MAX_ROWS, `${page.examined} examined`);
    });

    await t.test('a pattern that begins with a wildcard looks at a bounded stretch at a time', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['*.member5']) });
      t.ok(page.scanned > 0 && page.scanned < rows, `it stopped at ${page.scanned}`);
      t.ok(page.examined <= SCANNED_MAX_ROWS, `${page.examined} examined`);
      t.same(seqs(await readMessages(store, { filter: new Filter(['*.member5']) })), [5 * rare - 1]);
    });

    await t.test('a first segment that is common, of which nothing matches, too', async (t) => {
      const page = await store.read({ ...EVERYTHING, filter: new Filter(['rooms.*.nothing']) });
      t.same(page.messages, []);
      t.ok(page.scanned > 0 && page.scanned < rows, `it stopped at ${page.scanned}`);
      t.ok(page.examined <= SCANNED_MAX_ROWS, `${page.examined} examined`);
    });

    await t.test('a rare match far ahead does not come before matches that a long scan finds on the way', async (t) => {
      const filter = new Filter(['rooms.*.deep', 'rare']);
      const expected = range(1, RARE_MESSAGES).flatMap((index) => [index * rare - rare / 2, index * rare]);
      t.same(seqs(await readMessages(store, { filter })), expected);
    });

    await t.test('the newest of a rare topic, and of a common one', async (t) => {
      const rareOnes = await store.findBack({ before: rows + 1, filter: new Filter(['rare', 'family.*']), limit: RARE_MESSAGES });
      t.same(rareOnes.seqs.slice(0, 2), [rows, rows - 1]);
      t.equal(rareOnes.seqs.length, RARE_MESSAGES);
      t.ok(rareOnes.examined <= EXAMINED_MAX_ROWS, `${rareOnes.examined} examined`);
      const common = await store.findBack({ before: rows / 2, filter: new Filter(['common3']), limit: 5 });
      t.same(common.seqs, range(1, 5).map((index) => rows / 2 + 3 - 10 * index));
      t.ok(common.examined <= EXAMINED_MAX_ROWS, `${common.examined} examined`);
    });

    await t.test('a step back that cannot know where to look looks at a bounded stretch', async (t) => {
      for (const [wish, expected] of [['*.member5', [5 * rare - 1]], ['rooms.*.nothing', []]] as const) {
        const step = await store.findBack({ before: rows + 1, filter: new Filter([wish]), limit: 1 });
        t.ok(step.from > 1 && step.from < rows, `it stopped at ${step.from}`);
        t.ok(step.examined <= SCANNED_MAX_ROWS, `${step.examined} examined`);
        t.same(await walkBack(store, { before: rows + 1, filter: new Filter([wish]), limit: 1_000 }), expected);
      }
    });

    await t.test('a time', async (t) => {
      const [middle] = (await store.read({ ...EVERYTHING, after: rows / 2 - 1, limit: 1 })).messages;
      const { seq } = await store.seek(middle!.time);
      t.equal(seq % REQUEST_MESSAGES, 0, 'the messages of one request have one time');
      t.ok(seq < rows / 2);
    });
  });
}

function topicOf(number: number, rare: number): string {
  if (number % rare === 0) return 'rare';
  if (number % rare === rare / 2) return 'rooms.x.deep';
  if (number % rare === rare - 1) return `family.member${(number + 1) / rare}`;
  if (number % rare === rare - 2) return `rooms.few.member${(number + 2) / rare}`;
  return number % 10 < 5 ? `common${number % 10}` : `rooms.room${number % 5_000}`;
}
