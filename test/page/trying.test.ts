import { createServer, get } from 'node:http';
import { t } from 'tap';
import { WATCHER, accessFile, makeKey } from '../support/access-state.ts';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';
import { LOOKS, Person } from './support/person.ts';

/** What somebody does on the page who tries the service out: publishes, asks the doctor, and sends requests of the API. In Chromium, against the service. */

const [instance, guarded, browser] = await Promise.all([
  startInstance(t, { LOG_LEVEL: 'error', HEARTBEAT_SECONDS: '1' }),
  startInstance(t, { ACCESS_FILE: accessFile(t, ['>']), AUTH_COOKIE: 'session', LOG_LEVEL: 'error', HEARTBEAT_SECONDS: '1' }),
  startBrowser(t),
]);
const http = new Http(t, instance.url);
const keeper = new Http(t, guarded.url);

const row = '.row-message';

/** What the page asks the service for from now on, as `GET /path`. */
function requestsOf(person: Person): (pattern: RegExp) => readonly string[] {
  const all: string[] = [];
  person.page.on('request', (request) => void all.push(`${request.method()} ${request.url().slice(person.url.length)}`));
  return (pattern) => all.filter((one) => pattern.test(one));
}

/** Lets the page do whatever it still has timers for. A repetition has shorter ones, in the same event loop. */
function timersOf(person: Person): Promise<unknown> {
  return person.page.evaluate('(async () => { for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 50)); })()');
}

async function repeat(person: Person, { perSecond, messages }: { readonly perSecond: number; readonly messages: number }): Promise<void> {
  const summary = person.page.getByText('Repeat at a rate');
  if (!await person.page.getByLabel('Messages a second').isVisible()) await summary.click();
  await person.fill('Messages a second', String(perSecond));
  await person.fill('Messages in all', String(messages));
  await person.press('Begin');
}

function stored(topic: string): Promise<number> {
  return http.json<{ messages: unknown[] }>(`/topics/${topic}/messages?limit=1000`).then(({ messages }) => messages.length);
}

await t.test('a message is sent again and again, at a rate, and the page says how many were sent and refused', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/publish');
  await person.fill('Topic', 'often');
  await repeat(person, { perSecond: 50, messages: 12 });
  await person.sees('12 sent, 12 stored, 0 refused. It has stopped.');
  t.equal(await stored('often'), 12);
  t.equal(await person.page.locator('.sent li').count(), 1, 'they are one in the list of what was sent');
  await person.press('Send again, to often');
  await until('it is stored again', async () => await stored('often') === 13);

  let turn = 0;
  await person.page.route('**/topics/limited*', (route) => ++turn % 3 === 0 ? route.fulfill({ status: 429, contentType: 'application/problem+json', body: '{"code":"rate-limited","detail":"Not so fast."}' }) : route.continue());
  await person.page.route('**/topics/forbidden*', (route) => route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"code":"forbidden","detail":"Not there."}' }));
  await person.forgiving(async () => {
    await person.fill('Topic', 'limited');
    await repeat(person, { perSecond: 50, messages: 7 });
    await person.sees('7 sent, 5 stored, 2 refused. It has stopped.');
    await person.sees('Not so fast.');
    await person.fill('Topic', 'forbidden');
    await repeat(person, { perSecond: 1, messages: 1_000 });
    await person.sees(/^1 sent, 0 stored, 1 refused\. It has stopped\.$/);
  });
  t.equal(await stored('limited'), 5);
  t.strictSame(person.faults, []);
});

await t.test('a repetition stops when its button is pressed, when one leaves the view, and when one signs out', async (t) => {
  const person = await Person.open(t, browser, guarded.url);
  const asked = requestsOf(person);
  const posts = (): number => asked(/^POST \/topics\/often/).length;
  await person.goto('#/publish');
  await person.signIn(WATCHER.text);
  for (const [how, stop] of [
    ['its button', () => person.page.getByRole('button', { name: 'Stop', exact: true }).dispatchEvent('click')],
    ['another view', () => person.goto('#/doctor')],
    ['signing out', () => person.press('Sign out')],
  ] as const) {
    await person.goto('#/publish');
    await person.fill('Topic', 'often');
    const before = posts();
    await repeat(person, { perSecond: 20, messages: 1_000 });
    await until('some are sent', () => posts() >= before + 3);
    await stop();
    await person.page.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'detached' });
    // Requests are told of on the way on which the page answers: after this, all that were sent are known.
    await timersOf(person);
    const sent = posts();
    await timersOf(person);
    t.equal(posts(), sent, how);
    t.ok(sent < before + 1_000, `${how}, before all were sent`);
  }
  t.strictSame(person.faults, []);
});

await t.test('the form offers a topic that the key may publish to', async (t) => {
  const some = await makeKey(keeper, { name: 'some', publish: ['deploys.>', 'builds'], subscribe: ['>'] });
  const patterns = await makeKey(keeper, { name: 'patterns', publish: ['deploys.>'], subscribe: ['>'] });
  for (const [{ key }, topic, told] of [[some, 'builds', 'deploys.>, builds'], [patterns, '', 'deploys.>'], [{ key: WATCHER.text }, 'hello', undefined]] as const) {
    const person = await Person.open(t, browser, guarded.url);
    await person.goto('#/publish');
    await person.signIn(key);
    if (told !== undefined) await person.sees(`You may publish to: ${told}`);
    await until('the form has it', async () => await person.page.getByLabel('Topic', { exact: true }).inputValue() === topic);
    t.strictSame(person.faults, []);
    await person.leave();
  }
});

await t.test('Escape closes the top: the menu, then the message; a click elsewhere closes the menu', async (t) => {
  await http.post('escaped', 'a message');
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/feed?topics=escaped&from=last:20');
  await person.page.locator(row).first().click();
  const detail = person.page.locator('.detail');
  const menu = person.page.getByRole('button', { name: 'command line' });
  await detail.waitFor();
  await person.page.getByText('Copy as').click();
  await menu.waitFor();
  await person.page.keyboard.press('Escape');
  await menu.waitFor({ state: 'hidden' });
  t.ok(await detail.isVisible(), 'the message is still there');
  t.equal(await person.page.evaluate('document.activeElement.textContent'), 'Copy as', 'the focus is where it was before');
  await person.page.keyboard.press('Escape');
  await detail.waitFor({ state: 'detached' });
  await person.page.getByText('Copy as').click();
  await menu.waitFor();
  await person.page.getByRole('heading', { name: 'Feed' }).click();
  await menu.waitFor({ state: 'hidden' });
  await person.page.getByText('Copy as').click();
  await menu.waitFor();
  await person.page.getByLabel('Filter', { exact: true }).focus();
  await menu.waitFor({ state: 'hidden' });
  await person.goto('#/nothing');
  await person.sees('There is no such view');
  t.match((await person.texts('main'))[0], /Nothing is at #\/nothing\./);
  t.strictSame(person.faults, []);
});

/** What the doctor finds, once it is done; it looks again until that will do. */
async function diagnosis(person: Person, willDo: (texts: readonly string[]) => boolean): Promise<readonly string[]> {
  await person.press('Look');
  for (;;) {
    const again = person.page.getByRole('button', { name: 'Look again', disabled: false });
    await again.waitFor();
    const texts = await person.texts('.findings li');
    if (willDo(texts)) return texts;
    await again.click();
  }
}

await t.test('the doctor reports everything on the way, as text to paste', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  const asked = requestsOf(person);
  await person.goto('#/doctor');
  await person.sees('Nobody else has this topic.');
  t.strictSame(asked(/doctor|readyz/), [], 'nothing is opened or published before the button is pressed');
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

await t.test('the doctor looks with the topic of a reader, and does the checks that need no right to publish', async (t) => {
  const { key } = await makeKey(keeper, { name: 'reads news', subscribe: ['news.>'] });
  const person = await Person.open(t, browser, guarded.url);
  const asked = requestsOf(person);
  await person.goto('#/doctor');
  await person.signIn(key);
  t.match(await person.page.getByLabel('Topic of the stream').inputValue(), /^news\.tidings-doctor-/);
  await person.sees('Others may listen to this topic, and get the message.');
  const found = await diagnosis(person, () => true);
  t.match(found, [/service/, /HTTP/, /clock/, /compression/, /A stream opens/, /No message was published/, /A quiet stream lives/]);
  await person.fill('Topic of the stream', 'other');
  await person.press('Look again');
  await person.sees(/Choose a topic that you may read\.$/);
  t.strictSame(asked(/^POST /), []);
  t.strictSame(person.faults, []);
});

await t.test('the doctor publishes to the topic that was chosen', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/doctor');
  await person.fill('Topic of the stream', 'chosen');
  await diagnosis(person, (texts) => texts.some((text) => text.includes('A message comes')));
  t.ok(await stored('chosen') >= 1);
  t.strictSame(person.faults, []);
});

await t.test('the API: parameters, bodies, answers, errors, and requests that are sent', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/api');
  const open = (name: string): Promise<void> => person.page.locator('.operation summary').filter({ hasText: name }).click();
  await open('Publish a message');
  const details = (await person.texts('.operation-contents'))[0]!;
  for (const part of [/topic in the path, string, required/, /ttl in the header,/, /application\/json/, /201 The message is stored, durably\./, /ageMs integer, required/, /429 .*topic-quota/]) t.match(details, part);
  await person.fill('topic', 'tried');
  await person.fill('Body', '{"from":"the API"}');
  t.match((await person.texts('.try pre'))[0], `curl -H 'content-type: application/json' --data-binary '{"from":"the API"}' ${instance.url}/topics/tried`);
  await person.press('Send');
  await person.sees(/"topic": "tried"/);
  t.match(await http.json('/topics/tried/messages'), { messages: [{ data: { from: 'the API' } }] });
  await person.fill('topic', '..');
  await person.sees('topic: a path cannot have .. as a part.');
  await person.forgiving(async () => {
    await person.fill('topic', 'a b');
    await person.press('Send');
    await person.sees(/"code": "invalid-topic"/);
  });
  await open('Publish a message');

  // The page's time limit is for the head of an answer: a stream has no end.
  await person.page.clock.install();
  await open('Stream a topic or pattern');
  await person.fill('topic', 'tried');
  await person.page.locator('.try').getByRole('button', { name: 'Send' }).click();
  await person.sees(/it is open still/);
  await person.page.clock.fastForward(40_000);
  await http.post('tried', 'it comes late');
  await person.sees(/data: it comes late/);
  await person.press('Stop');
  await person.page.getByText('it is open still').waitFor({ state: 'detached' });
  t.strictSame(person.faults, []);
});

await t.test('a view says that it loads, why it could not, and loads when it is asked again', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/publish');
  for (const [hash, path, sign] of [['#/topics', '/topics?', 'tried'], ['#/topics/tried', '/topics/tried/messages', 'The newest'], ['#/streams', '/streams?', 'No streams are open'], ['#/fleet', '/instances', 'Publishes a second'], ['#/api', '/openapi.json', 'Publish a message']] as const) {
    const isAsked = (url: URL): boolean => `${url.pathname}${url.search}`.startsWith(path);
    const gate = Promise.withResolvers<void>();
    await person.page.route(isAsked, async (route) => {
      await gate.promise;
      await route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"code":"unavailable","detail":"The log is away."}' });
    });
    await person.goto(hash);
    await person.sees('Loading…');
    await person.forgiving(async () => {
      gate.resolve();
      await person.sees('The log is away.');
      await person.page.unroute(isAsked);
      await person.page.getByRole('button', { name: 'Try again' }).first().click();
      await person.page.locator('main').getByText(sign).first().waitFor();
      await person.page.locator('.note.bad').waitFor({ state: 'detached' });
    });
  }
  t.strictSame(person.faults, []);
});

await t.test('what opens on a click looks right, too', async (t) => {
  const person = await Person.open(t, browser, instance.url, LOOKS[1]);
  await person.goto('#/api');
  await person.fill('Filter', 'list the topics');
  await person.page.locator('.operation summary').click();
  await person.press('Send');
  await person.page.locator('.result').waitFor();
  t.strictSame(await person.looksWrong(), [], 'API');
  await person.goto('#/doctor');
  await person.press('Look');
  await person.page.locator('.findings li').first().waitFor();
  t.strictSame(await person.looksWrong(), [], 'doctor');
  t.strictSame(person.faults, []);
});
