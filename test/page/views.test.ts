import { createServer, get, type IncomingMessage } from 'node:http';
import { t } from 'tap';
import { ROOT, accessFile, makeKey } from '../support/access-state.ts';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { LOOKS, Person } from './support/person.ts';

/** The other views of the page, each used as a person would, in Chromium, against the service; and how all of them look. */

const [instance, guarded, browser] = await Promise.all([
  startInstance(t, { LOG_LEVEL: 'error', HEARTBEAT_SECONDS: '1' }),
  startInstance(t, { ACCESS_FILE: accessFile(t, ['>']), AUTH_COOKIE: 'session', LOG_LEVEL: 'error', DRAIN_SECONDS: '0' }),
  startBrowser(t),
]);
const http = new Http(t, instance.url);
const keeper = new Http(t, guarded.url);

/** A stream of somebody else. */
function listen(t: Scope, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(`${instance.url}${path}`, { headers, agent: false }, (answer) => {
      answer.on('error', () => undefined);
      answer.resume();
      resolve(answer);
    }).on('error', reject);
    t.teardown(() => request.destroy());
  });
}

const row = '.row-message';

/** What the doctor found, once it is done; it looks again until that will do. */
async function diagnosis(person: Person, willDo: (texts: readonly string[]) => boolean): Promise<readonly string[]> {
  for (;;) {
    const again = person.page.getByRole('button', { name: 'Look again', disabled: false });
    await again.waitFor();
    const texts = await person.texts('.findings li');
    if (willDo(texts)) return texts;
    await again.click();
  }
}

await t.test('topics: sorted, searched, their history page by page, and who listens', async (t) => {
  await http.batch(Array.from({ length: 120 }, (_none, number) => ({ topic: 'paged', data: number + 1 })));
  await listen(t, '/topics/paged/events?as=alice');
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/topics');
  await person.fill('Topics that begin with', 'pag');
  await until('one is left', async () => (await person.texts('tbody tr')).length === 1);
  const { topics: [told] } = await http.json<{ topics: { messages: number; more?: true; streams: number }[] }>('/topics?prefix=pag');
  const cells = await person.texts('tbody td');
  t.strictSame([cells[0], cells[2], cells[4]], ['paged', `${told!.messages}+`, String(told!.streams)]);
  t.strictSame([told!.messages, told!.more, told!.streams], [100, true, 1], 'it counts a hundred, and says that there are more');
  await person.page.getByRole('link', { name: 'paged' }).click();
  await person.sees('The newest 50 messages');
  t.match(await person.texts('.history .row-text'), Array.from({ length: 50 }, (_none, place) => String(120 - place)));
  await person.press('From the oldest');
  await person.sees('50 messages, oldest first');
  await person.press('Next page');
  await until('the second page', async () => (await person.texts('.history .row-text'))[0] === '51');
  await person.press('Next page');
  await person.sees('20 messages, oldest first');
  t.match(await person.texts('.history .row-text'), Array.from({ length: 20 }, (_none, place) => String(101 + place)));
  t.match((await person.texts('table'))[0], /alice/);
  await person.page.getByRole('link', { name: 'Its feed' }).click();
  await until('its feed', async () => (await person.texts(row)).length === 20);
  t.strictSame(person.faults, []);
});

await t.test('streams: they are listed, filtered, and one is closed', async (t) => {
  const stream = await listen(t, '/topics/closed/events?as=bob', { 'user-agent': 'a test/1' });
  const ended = new Promise((resolve) => void stream.once('close', resolve));
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/streams?topic=closed');
  await person.sees('bob');
  t.match((await person.texts('tbody tr'))[0], /bob.*closed.*live.*a test\/1/s);
  await person.press(/^Close stream/);
  await person.press('Close the stream');
  await ended;
  await person.sees(/is closed\./);
  await person.sees('No stream is so');
  t.strictSame(person.faults, []);
});

await t.test('the doctor says what is on the way, as text to paste', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/doctor');
  // On a machine that is very busy a message may come late: then somebody would look again.
  const found = await diagnosis(person, (texts) => texts.some((text) => text.includes('A message comes')));
  t.strictSame((await person.texts('.findings strong')), ['service', 'HTTP', 'clock', 'compression', 'open', 'delivery', 'idle']);
  t.match(found.find((text) => text.includes('delivery')), /A message comes/);
  t.match(found.find((text) => text.includes('idle')), /A quiet stream lives/);
  t.match(found.find((text) => text.includes('HTTP')), /http\/1\.1: this browser opens 6 connections/);
  await person.press('Copy as text');
  await until('it is copied', async () => /^Tidings at http.*✓ idle: /s.test(await person.clipboard()));
  t.strictSame(person.faults, []);
});

await t.test('the doctor notices a proxy that holds the stream back and compresses it', async (t) => {
  const proxy = createServer((request, response) => {
    const onward = get(`${instance.url}${request.url}`, { headers: { accept: request.headers.accept ?? '*/*', host: request.headers.host }, agent: false }, (answer) => {
      const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
      response.writeHead(answer.statusCode!, isStream ? { ...answer.headers, 'content-encoding': 'gzip' } : answer.headers);
      response.flushHeaders();
      if (isStream) answer.resume();
      else answer.pipe(response);
    });
    response.on('close', () => onward.destroy());
  });
  const port = await new Promise<number>((resolve) => void proxy.listen(0, '127.0.0.1', () => {
    const address = proxy.address();
    if (address !== null && typeof address === 'object') resolve(address.port);
  }));
  t.teardown(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const person = await Person.open(t, browser, `http://127.0.0.1:${port}`);
  await person.goto('#/doctor');
  const found = await diagnosis(person, () => true);
  t.match(found.find((text) => text.includes('compression')), /Something compresses the stream/);
  t.match(found.find((text) => /^.open/.test(text)), /Something on the way holds it back/);
});

await t.test('keys: whoever signs in as an administrator makes one, sees it once, and revokes it', async (t) => {
  const person = await Person.open(t, browser, guarded.url);
  await person.goto();
  await person.sees('This service takes an API key or a token.');
  await person.fill('Key or token', 'tdg_no_key');
  await person.forgiving(async () => {
    await person.press('Sign in');
    await person.page.locator('.note.bad').waitFor();
  });
  await person.fill('Key or token', `\u201C${ROOT.text}\u201D`);
  await person.press('Sign in');
  await person.sees(/characters that no key or token has/);
  await person.fill('Key or token', ROOT.text);
  await person.press('Sign in');
  await person.page.getByRole('link', { name: 'Keys' }).click();
  await person.fill('What it is for', 'made in a browser');
  await person.fill('May publish to', 'deploys.>, a,b other');
  await person.page.getByRole('button', { name: 'Make the key' }).dblclick();
  await person.sees(/It is shown this once/);
  const { keys } = JSON.parse((await keeper.get('/keys', bearer(ROOT.text))).body) as { keys: { name: string }[] };
  t.equal(keys.filter(({ name }) => name === 'made in a browser').length, 1, 'a second click makes no second key, whose secret would hide that of the first');
  const [key] = await person.texts('.made code');
  await person.press('Copy key');
  await until('it is copied', async () => await person.clipboard() === key);
  t.equal((await keeper.send('POST', '/topics/deploys.api', bearer(key!), 'x')).status, 201, 'it is good');
  t.equal((await keeper.send('POST', '/topics/a,b', bearer(key!), 'x')).status, 201, 'a comma is a part of a name');
  t.equal((await keeper.send('POST', '/topics/else', bearer(key!), 'x')).status, 403);
  t.match((await person.texts('tbody tr'))[0], /made in a browser.*publish to deploys\.>, a,b, other.*good/s);
  await person.press('Revoke made in a browser');
  await person.sees(/It cuts 0 open streams\./);
  await person.press('Revoke it');
  await person.sees('revoked');
  t.equal((await keeper.send('POST', '/topics/deploys.api', bearer(key!), 'x')).status, 401);
  await person.goto('#/feed');
  await person.goto('#/keys');
  await person.sees('made in a browser');
  t.notOk((await person.page.content()).includes(key!), 'it is shown once');
  t.strictSame(person.faults, []);
});

await t.test('what somebody may not do is not offered; a session outlives a reload, a key does not', async (t) => {
  const { key } = await makeKey(keeper, { name: 'reader', subscribe: ['news.>'] });
  const person = await Person.open(t, browser, guarded.url);
  const signIn = async (isKept: boolean): Promise<void> => {
    await person.fill('Key or token', key);
    if (isKept) await person.page.getByLabel(/Stay signed in/).check();
    await person.press('Sign in');
    await person.sees('Sign out');
  };
  await person.goto();
  await signIn(false);
  t.strictSame(await person.texts('nav a'), ['Feed', 'Doctor']);
  t.equal(await person.page.getByRole('button', { name: 'Publish' }).count(), 0);
  t.equal(await person.page.getByLabel('Topics or patterns').inputValue(), 'news.>');
  await person.goto('#/keys');
  await person.sees('This key or token may not do that.');
  const kept = await person.page.evaluate<string>('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, performance.getEntriesByType("resource").map(({ name }) => name)])');
  t.notOk(kept.includes(key), 'it is in no address, and nothing keeps it');
  await person.page.reload();
  await person.page.getByLabel('Key or token').waitFor();
  await signIn(true);
  await person.page.reload();
  await person.sees('Sign out');
  t.strictSame(await person.texts('nav a'), ['Feed', 'Doctor']);
  await person.press('Sign out');
  await person.page.getByLabel('Key or token').waitFor();
  t.strictSame(person.faults, []);
});

await t.test('every view, in both schemes and widths: nothing sticks out, and nobody is kept out', async (t) => {
  for (const look of LOOKS) {
    const person = await Person.open(t, browser, instance.url, look);
    for (const [hash, sign] of [['', 'live'], ['#/publish', 'Publish'], ['#/topics', 'paged'], ['#/topics/paged', 'Who listens'], ['#/streams', 'Only behind'], ['#/fleet', 'Publishes a second'], ['#/keys', 'Keys are made by an administrator'], ['#/doctor', 'compression'], ['#/api', 'Publish a message'], ['#/nothing', 'There is no such view']] as const) {
      await person.goto(hash);
      await person.page.locator('main').getByText(sign).first().waitFor();
      t.strictSame(await person.looksWrong(), [], `${hash} ${look.width} ${look.scheme}`);
      const place = hash === '#/nothing' ? null : await person.page.locator('nav [aria-current]').boundingBox();
      t.ok(hash === '#/nothing' || (place !== null && place.x >= 0 && place.x + place.width <= look.width), `${hash}: the bar shows where one is`);
    }
    t.strictSame(person.faults, []);
    await person.leave();
  }
});

await t.test('the fleet: an instance is seen as it is, and drained', async (t) => {
  const person = await Person.open(t, browser, guarded.url);
  await person.goto('#/fleet');
  await person.fill('Key or token', ROOT.text);
  await person.press('Sign in');
  const { instances: [told] } = JSON.parse((await keeper.get('/instances', bearer(ROOT.text))).body) as { instances: { id: string; version: string }[] };
  await person.sees(told!.id);
  t.match((await person.texts('.card'))[0], new RegExp(`${told!.id}ready.*version ${told!.version}`, 's'));
  await person.press('Drain');
  await person.forgiving(async () => {
    await person.press('Drain it');
    t.equal((await guarded.exited).code, 0);
    await person.sees(/cannot be reached/);
    t.strictSame(person.faults, []);
  });
});
