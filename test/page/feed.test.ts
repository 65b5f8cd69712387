import { t } from 'tap';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';
import { LOOKS, Person } from './support/person.ts';

/** The first view of the page: who publishes and watches, in Chromium, against the service. */

const [instance, browser] = await Promise.all([startInstance(t, { LOG_LEVEL: 'error', HEARTBEAT_SECONDS: '1' }), startBrowser(t)]);
const http = new Http(t, instance.url);

const row = '.row-message';
/** A topic has no `>` in it, but may have all else that HTML has. */
const NAMED_HTML = `hostile.<img/src=x/onerror=alert(3)/"'&amp;`;

await t.test('who opens the address publishes a message with one click, and sees it arrive', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto();
  await person.sees('Nothing yet: publish one');
  await person.press('Publish');
  await person.sees(/it has come back in the feed/);
  t.match((await person.texts('.outcome'))[0], /reached 1 stream on 1 instance/);
  t.match(await person.texts(row), [/hello\{"text":"hello, world"\}/]);
  const { messages: [stored] } = await http.json<{ messages: { id: string; data: unknown }[] }>('/topics/hello/messages');
  t.strictSame(stored!.data, { text: 'hello, world' });
  t.ok((await person.texts('.outcome'))[0]!.includes(stored!.id));

  await person.page.locator('textarea').fill('{"broken": ');
  // What is no JSON cannot be sent.
  await person.page.getByRole('button', { name: 'Publish', exact: true, disabled: true }).waitFor();
  await person.page.locator('.said.bad').waitFor();
  await person.page.getByLabel('Text', { exact: true }).check();
  await person.fill('Topic', 'notes');
  await person.fill('Event (optional)', 'written');
  await person.page.getByText('Time to live, idempotency key').click();
  await person.fill('Time to live, in seconds', '600');
  await person.fill('Idempotency key', 'one');
  await person.press('Publish');
  await until('the text is there', async () => (await person.texts(row)).length === 2);
  t.match((await person.texts(row))[0], /noteswritten\{"broken": $/);
  await person.press('Publish');
  await person.sees(/Stored before, with this key/);
  await person.fill('Topic', 'no topic');
  await person.forgiving(async () => {
    await person.press('Publish');
    await person.page.locator('.note.bad code', { hasText: 'invalid-topic' }).waitFor();
  });
  t.equal((await person.texts(row)).length, 2);
  t.strictSame(person.faults, []);
});

await t.test('the feed: a tree, a pause without loss, a filter, back in time, copies', async (t) => {
  await http.send('POST', '/topics/tree', { 'content-type': 'application/json' }, '{"version":7,"steps":[{"name":"build","ok":true}],"nothing":null}');
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/feed?topics=tree+news.*&from=last:20');
  await person.page.locator(row).click();
  await person.sees('version');
  t.match((await person.texts('.detail'))[0], /version: 7.*steps.*name.*"build".*ok.*true.*nothing.*null/s);
  await person.press('Copy data');
  await until('it is copied', async () => (await person.clipboard()).includes('"version": 7'));

  await person.press('Pause');
  for (const number of [1, 2, 3]) await http.post(`news.${number}`, `number ${number}`);
  await person.sees('Go on (3 new)');
  t.equal((await person.texts(row)).length, 1, 'what is shown stands still');
  await person.press(/^Go on/);
  await until('all are there', async () => (await person.texts(row)).length === 4);
  await person.fill('Filter', 'NUMBER 2');
  await until('one is left', async () => (await person.texts(row)).length === 1);
  t.match((await person.texts(row))[0], /news\.2number 2/);
  await person.fill('Filter', 'nobody says this');
  await person.sees('Nothing here has that in it');
  await person.fill('Filter', '');

  const signs = (): Promise<number> => person.page.locator('.row-note').count();
  await until('the stream says that it lives', async () => (await person.texts('.row-note')).some((text) => text.includes('$cursor')));
  await person.page.getByLabel('Protocol').uncheck();
  await until('only messages are shown', async () => await signs() === 0);
  await person.page.getByText('Copy as').click();
  await person.press('curl');
  await until('it is copied', async () => (await person.clipboard()) === `curl -N '${instance.url}/events?topic=tree&topic=news.*&last=20'`);
  await person.press('command line');
  await until('it is copied', async () => (await person.clipboard()) === `npx tidings subscribe tree 'news.*' --last 20 --url ${instance.url}`);

  await person.fill('Topics or patterns', 'news.2, news.3');
  await person.press('Watch');
  await until('others are there', async () => (await person.texts(row)).length === 2);
  t.match(new URL(person.page.url()).hash, /topics=news\.2\+news\.3/, 'the view has a URL');
  await person.page.getByLabel('From', { exact: true }).selectOption('now');
  await until('from now on there is nothing', async () => (await person.texts(row)).length === 0);
  await until('it is live', async () => (await person.texts('.feed .chip'))[0] === 'live');
  await http.post('news.2', 'now');
  await until('there is', async () => (await person.texts(row)).length === 1);
  t.strictSame(person.faults, []);
});

await t.test('over a restart of the service the feed goes on: each message once, and the page shows the interruption', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/feed?topics=restart&from=now');
  // The page may still show that the feed before this one is live.
  await until('its stream is open', async () => (await http.json<{ readonly streams: readonly unknown[] }>('/streams?topic=restart')).streams.length === 1);
  await person.sees('live');
  await http.post('restart', 'before');
  await until('it is there', async () => (await person.texts(row)).length === 1);
  await person.forgiving(async () => {
    await instance.restart();
    await until('the next one is stored', () => http.post('restart', 'after', { 'idempotency-key': 'after' }).then(({ status }) => status === 201, () => false));
    await until('the next one, too', async () => (await person.texts(row)).length === 2);
    await until('it is live again', async () => (await person.texts('.feed .chip'))[0] === 'live');
  });
  t.match(await person.texts(row), [/after$/, /before$/]);
  t.ok((await person.texts('.row-note .row-name')).filter((name) => name === '$open').length >= 2, 'the stream was opened twice');
  t.strictSame(person.faults, []);
});

await t.test('messages of strangers are shown as text, and break nothing', async (t) => {
  const html = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
  await http.post(NAMED_HTML, html);
  await http.post('hostile.marks', `\u{1b}[31mred\u{202E}desrever`);
  await http.post('hostile.large', 'x'.repeat(256 * 1024));
  await http.post('hostile.long-line', 'word '.repeat(10_000));
  await http.post(`hostile.${'long-name.'.repeat(24)}end`, 'a long name');
  await http.send('POST', '/topics/hostile.json', { 'content-type': 'application/json' }, `${'['.repeat(400)}{"__proto__":{"x":"<b>"},"</script>":"${'y'.repeat(5_000)}"}${']'.repeat(400)}`);
  for (const look of LOOKS) {
    const person = await Person.open(t, browser, instance.url, look);
    await person.goto('#/feed?topics=hostile.>&from=start');
    await until('all are there', async () => (await person.texts(row)).length === 6);
    for (let place = 0; place < 6; place++) {
      await person.page.locator(row).nth(place).click();
      await person.page.locator('.detail').waitFor();
    }
    t.match((await person.texts('.detail .data'))[0], html, 'the first one, last');
    t.equal(await person.page.locator('main img, main script, main b').count(), 0);
    t.ok((await person.texts(row)).some((text) => text.includes('␛[31mred⟨U+202E⟩desrever')));
    await person.page.locator(row).nth(3).click();
    await person.press('all 262,144 characters');
    await person.page.locator(row).nth(0).click();
    await person.page.locator('.json summary').nth(2).click();
    t.strictSame(await person.looksWrong(), [], `${look.width} ${look.scheme}`);
    await person.goto('#/topics');
    await person.page.getByText(NAMED_HTML).click();
    await person.sees('The newest 1 message');
    t.strictSame(person.faults, []);
  }
});

await t.test('an address that somebody has cut, or made up, is still a feed', async (t) => {
  await http.post('with,comma', 'one topic');
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/feed?topics=with,comma&from=last:x');
  await until('the message is there', async () => (await person.texts(row)).length === 1);
  await person.goto('#/feed?topics=with,comma&from=last:9999');
  await person.sees('live');
  await until('it is there again', async () => (await person.texts(row)).length === 1);
  await person.goto('#/topics/..');
  await person.page.locator('.note.bad code', { hasText: 'invalid-topic' }).first().waitFor();
  t.strictSame(person.faults, []);
});

await t.test('by keyboard alone: to a message and into it', async (t) => {
  await http.batch(Array.from({ length: 20 }, (_none, number) => ({ topic: 'keys', data: number + 1 })));
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/feed?topics=keys&from=last:20');
  await until('there are messages', async () => (await person.texts(row)).length === 20);
  await person.page.locator(row).first().focus();
  await person.page.keyboard.press('ArrowDown');
  await person.page.keyboard.press('Enter');
  await person.page.locator('.detail').waitFor();
  t.match((await person.texts('.row-message[aria-pressed="true"]'))[0], /19$/);
  t.not(await person.page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'none', 'the focus is seen');
});
