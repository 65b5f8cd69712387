import t from 'tap';
import { isBeginning, topicsIn, wordsIn } from '../../src/page/feed/beginning.ts';
import { FeedLog } from '../../src/page/feed/feed-log.ts';
import { RowFilter } from '../../src/page/feed/row-filter.ts';
import { bytes, jsonText, shellQuoted, visible } from '../../src/page/text.ts';

/** What the page keeps of a feed, and how it shows strangers' texts. */

const message = (number: number, data: unknown = number, topic = 'a') => ({ id: `epoch-${number}`, topic, event: 'message', time: new Date(1_000_000 + number).toISOString(), data });

function log(): FeedLog {
  return new FeedLog(() => undefined);
}

void t.test('a feed has a limit of rows, and counts the messages it dropped', async (t) => {
  const feed = log();
  for (let number = 1; number <= 25_000; number++) feed.message(message(number));
  t.ok(feed.rows.length <= 10_000);
  t.equal(feed.messages, 25_000);
  t.equal(feed.dropped, 25_000 - feed.rows.length, 'nothing is missing without a word');
  t.match(feed.rows.at(-1), { message: { id: 'epoch-25000' } });
  t.match(feed.rows[0], { message: { id: `epoch-${feed.dropped + 1}` } }, 'the oldest went');
  t.notOk(feed.has('epoch-1'));
});

void t.test('and a limit of characters: large messages are fewer', async (t) => {
  const feed = log();
  for (let number = 1; number <= 100; number++) feed.message(message(number, 'x'.repeat(1024 * 1024)));
  t.ok(feed.rows.length <= 32, `${feed.rows.length}`);
  t.equal(feed.dropped, 100 - feed.rows.length);
});

void t.test('data is kept as text: objects would take many times the memory that is counted', async (t) => {
  const feed = log();
  let deep: unknown = 1;
  for (let level = 0; level < 100_000; level++) deep = [deep];
  feed.message(message(1, { a: [[], []] }));
  feed.message(message(2, deep));
  t.match(feed.rows, [{ text: '{"a":[[],[]]}', form: 'JSON' }, { form: 'deep' }]);
  for (const row of feed.rows) t.notOk(row.kind === 'message' && 'data' in row.message, 'no object is kept');
});

void t.test('a comma in the name of a topic is a part of it; an address may say anything of where to begin', async (t) => {
  t.strictSame(topicsIn(' a,b  c, d ,e\tc, '), ['a,b', 'c', 'd', 'e']);
  t.strictSame(wordsIn('a, ,b a,'), ['a,', ',b']);
  t.strictSame(['now', 'start', 'last:0', 'last:1000', 'since:10m', 'after:start'].filter((from) => !isBeginning(from)), []);
  t.strictSame(['', 'last', 'last:', 'last:x', 'last:1001', 'last:-1', 'last:1.5', 'last:1e2', 'since:', 'after:', 'then:1', '__proto__'].filter(isBeginning), []);
});

void t.test('a message comes once; earlier ones stand before; an erased one is gone', async (t) => {
  const feed = log();
  feed.note({ name: '$open', text: 'open' });
  feed.message(message(5, 'secret'));
  feed.message(message(2));
  feed.message(message(2));
  feed.message(message(9, { deep: true }, 'b'));
  t.strictSame(feed.rows.map((row) => row.kind === 'message' ? row.message.id : row.name), ['epoch-2', 'epoch-5', 'epoch-9', '$open']);
  feed.note({ name: '$gap', text: 'gap', tone: 'warn' });
  feed.message(message(3));
  t.match(feed.rows.at(-1), { message: { id: 'epoch-3' } }, 'what follows a gap stays after it');
  feed.erase({ id: 'epoch-5', topic: 'a' });
  feed.erase({ topic: 'a', through: 'epoch-2' });
  t.strictSame(feed.rows.flatMap((row) => row.kind === 'message' && row.isErased ? [row.message.id] : []), ['epoch-2', 'epoch-5']);
  t.notMatch(JSON.stringify(feed.rows), 'secret');
});

void t.test('an erasure up to a message that the feed never got erases the earlier messages of the topic, and no later one', async (t) => {
  const feed = log();
  feed.message(message(2, 'secret'));
  feed.message(message(3, 'of another topic', 'b'));
  feed.message(message(9, 'later'));
  feed.erase({ topic: 'a', through: 'epoch-5' });
  t.strictSame(feed.rows.flatMap((row) => row.kind === 'message' && row.isErased ? [row.message.id] : []), ['epoch-2']);
});

void t.test('a filter looks at each row once, however often the feed is drawn', async (t) => {
  const feed = log();
  feed.message(message(1, 'Deploy FAILED'));
  feed.message(message(2, 'well', 'deploys.api'));
  feed.message(message(3, 'other'));
  feed.note({ name: '$open', text: 'deploy' });
  let looks = 0;
  const rows = feed.rows.map((row) => row.kind === 'note' ? row : { ...row, get text() {
    looks++;
    return row.text;
  } });
  const filter = new RowFilter('dePLoy');
  for (let drawn = 0; drawn < 3; drawn++) t.strictSame(rows.filter((row) => filter.has(row)), [rows[0], rows[1]]);
  t.equal(looks, 3);
});

void t.test('signs of life in a row are one row', async (t) => {
  const feed = log();
  for (const cursor of [1, 2, 3]) feed.note({ name: '$cursor', text: `up to ${cursor}` });
  t.match(feed.rows, [{ name: '$cursor', text: 'up to 3', times: 3 }]);
});

void t.test('nothing that is unseen acts in a text', async (t) => {
  t.equal(visible('\u{1b}[31mred\u{7}'), '␛[31mred␇');
  t.equal(visible('a\u202Eb\u2066c\u200B'), 'a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩');
  t.equal(visible('two\nlines\tand 👩\u200D💻'), 'two\nlines\tand 👩\u200D💻');
  t.equal(visible('ops\u3164 \u061C\u00AD\u2028 \u{E0041}'), 'ops⟨U+3164⟩ ⟨U+061C⟩⟨U+00AD⟩⟨U+2028⟩ ⟨U+E0041⟩', 'two names never look like one');
  t.equal(visible('❤\uFE0F می\u200Cخواهم'), '❤\uFE0F می\u200Cخواهم');
  t.equal(visible('\uD800x'), '⟨U+D800⟩x');
  t.equal(shellQuoted("a';rm -rf ~;'"), String.raw`'a'\'';rm -rf ~;'\'''`);
  t.equal(shellQuoted('deploys.api'), 'deploys.api');
  t.equal(shellQuoted('>'), "'>'");
  t.equal(bytes(1536), '1.5 KiB');
  let deep: unknown = 1;
  for (let level = 0; level < 100_000; level++) deep = [deep];
  t.equal(jsonText(deep), undefined, 'what is nested too deeply breaks nothing');
});
