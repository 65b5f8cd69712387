import { get, type IncomingMessage } from 'node:http';
import { t } from 'tap';
import { ROOT, accessFile, makeKey } from '../support/access-state.ts';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { LOOKS, Person } from './support/person.ts';

/** What an administrator does on the page: signs in, makes keys, rotates and revokes them, and shares streams among instances. In Chromium, against the service. */

const [guarded, browser] = await Promise.all([startInstance(t, { ACCESS_FILE: accessFile(t, ['>']), AUTH_COOKIE: 'session', LOG_LEVEL: 'error' }), startBrowser(t)]);
const keeper = new Http(t, guarded.url);

/** A stream of somebody else, that is open. */
function listen(t: Scope, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(`${guarded.url}${path}`, { headers, agent: false }, (answer) => {
      answer.on('error', () => undefined);
      answer.resume();
      resolve(answer);
    }).on('error', reject);
    t.teardown(() => request.destroy());
  });
}

await t.test('keys: an administrator signs in, makes one, sees it once, and revokes it', async (t) => {
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
  await person.sees(/is revoked\. It had 0 open streams/);
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
  t.strictSame(await person.texts('.who bdi'), ['reader'], 'the name of the key');
  t.equal(await person.page.getByRole('button', { name: 'Publish' }).count(), 0);
  t.equal(await person.page.getByLabel('Topics or patterns').inputValue(), 'news.>');
  for (const [view, grant] of [['publish', 'publish'], ['topics', 'presence'], ['streams', 'admin'], ['fleet', 'operate'], ['keys', 'admin'], ['webhooks', 'admin'], ['connectors', 'admin'], ['api', 'operate']]) {
    await person.goto(`#/${view}`);
    await person.page.locator('main').getByText(`This takes the grant ${grant}, which this key or token does not have.`).waitFor();
  }
  const kept = await person.page.evaluate<string>('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, performance.getEntriesByType("resource").map(({ name }) => name)])');
  t.notOk(kept.includes(key), 'it is in no address, and nothing keeps it');
  await person.page.reload();
  await person.page.getByLabel('Key or token').waitFor();
  await signIn(true);
  await person.page.reload();
  await person.sees('Sign out');
  t.strictSame(await person.texts('nav a'), ['Feed', 'Doctor']);
  await person.goto('#/streams');
  await person.sees(/Administering and operating take your key again/);
  await person.press('Sign out');
  await person.page.getByLabel('Key or token').waitFor();
  t.strictSame(person.faults, []);
});

await t.test('keys: a new secret is shown once; the secret before stays good for the time of the grace', async (t) => {
  const { id, key } = await makeKey(keeper, { name: 'rotated', publish: ['>'], subscribe: ['>'] });
  const person = await Person.open(t, browser, guarded.url);
  await person.goto('#/keys');
  await person.signIn(ROOT.text);
  const rotate = async (overlap: string, before: string): Promise<string> => {
    await person.press('Rotate rotated');
    await person.page.getByLabel('The secret before stays good').selectOption({ label: overlap });
    await person.press('Rotate it');
    await until('another secret is shown', async () => ![undefined, before].includes((await person.texts('.made code'))[0]));
    const [secret] = await person.texts('.made code');
    t.ok(secret!.includes(id), 'the id stays');
    return secret!;
  };
  const status = async (secret: string): Promise<number> => (await keeper.send('POST', '/topics/a', bearer(secret), 'x')).status;
  const second = await rotate('for an hour', key);
  t.strictSame([await status(key), await status(second)], [201, 201]);
  const third = await rotate('not at all: it ends now', second);
  t.strictSame([await status(key), await status(second), await status(third)], [401, 401, 201]);
  t.strictSame(person.faults, []);
});

await t.test('keys: revoking one says how many streams it cuts, and cuts them', async (t) => {
  const { key } = await makeKey(keeper, { name: 'cut', subscribe: ['>'] });
  const streams = await Promise.all([1, 2, 3].map(() => listen(t, '/topics/a/events', bearer(key))));
  const ended = Promise.all(streams.map((stream) => new Promise((resolve) => void stream.once('close', resolve))));
  const person = await Person.open(t, browser, guarded.url);
  await person.goto('#/keys');
  await person.signIn(ROOT.text);
  await person.press('Revoke cut');
  await person.sees(/It cuts 3 open streams\./);
  await person.press('Revoke it');
  await person.sees('cut is revoked. It had 3 open streams, which the service cuts.');
  await ended;
  t.strictSame(person.faults, []);
});

await t.test('may this key read that topic? The page says so, without trying', async (t) => {
  const { id } = await makeKey(keeper, { name: 'asked about', subscribe: ['news.>'] });
  const person = await Person.open(t, browser, guarded.url);
  await person.goto('#/keys');
  await person.signIn(ROOT.text);
  await person.page.getByLabel('May', { exact: true }).selectOption({ value: id });
  const ask = async (action: string, topic: string | undefined, answer: string): Promise<void> => {
    await person.page.getByLabel('do this').selectOption({ label: action });
    if (topic !== undefined) await person.fill('Topic or pattern', topic);
    await person.press('Ask');
    await person.sees(answer);
  };
  await ask('read', 'news.today', 'asked about may read news.today.');
  await ask('read', '>', 'asked about may not read >.');
  await ask('publish to', 'news.today', 'asked about may not publish to news.today.');
  await ask('administer', undefined, 'asked about may not administer.');
  await person.page.getByLabel('May', { exact: true }).selectOption('the key that you use');
  await ask('administer', undefined, 'You may administer.');
  t.strictSame(person.faults, []);
});

await t.test('an administrator who reloads with a session is asked for the key again, and goes on where they were', async (t) => {
  const person = await Person.open(t, browser, guarded.url);
  await person.goto('#/keys');
  await person.page.getByLabel(/Stay signed in/).check();
  await person.signIn(ROOT.text);
  await person.page.locator('#keys-title').waitFor();
  await person.page.reload();
  await person.sees(/Administering and operating take your key again/);
  t.equal(await person.page.getByText('may not').count(), 0);
  await person.fill('Key or token', ROOT.text);
  await person.press('Sign in');
  await person.page.locator('#keys-title').waitFor();
  await person.page.reload();
  await person.page.getByRole('link', { name: 'Use a key' }).click();
  await person.sees(/Administering and operating take your key again/);
  t.strictSame(person.faults, []);
});

await t.test('streams are shared evenly with one button; where the service does not do that, the page says so', async (t) => {
  const person = await Person.open(t, browser, guarded.url);
  const { instances: [one] } = JSON.parse((await keeper.get('/instances', bearer(ROOT.text))).body) as { instances: { id: string }[] };
  await person.page.route('**/instances', (route) => route.fulfill({ json: { instances: [one, { ...one, id: 'another' }] } }));
  const { body: figures } = await keeper.get(`/instances/${one!.id}?after=0`, bearer(ROOT.text));
  await person.page.route('**/instances/another?*', (route) => route.fulfill({ body: figures.replaceAll(one!.id, 'another'), contentType: 'application/json' }));
  let asked = 0;
  let answer: { readonly status: number; readonly json: object } = { status: 202, json: { moving: 1_200, instances: [{ id: 'another', streams: 5_000, moving: 1_200 }, { id: one!.id, streams: 2_600, moving: 0 }] } };
  await person.page.route('**/instances/rebalance', (route) => {
    if (route.request().method() === 'POST') asked++;
    return route.fulfill(answer);
  });
  await person.goto('#/fleet');
  await person.signIn(ROOT.text);
  const share = async (): Promise<void> => {
    await person.press('Share streams evenly');
    await person.press('Share them');
  };
  await share();
  await person.sees('1,200 streams move: 1,200 from another.');
  t.strictSame(await person.looksWrong(), []);
  answer = { status: 202, json: { moving: 0, instances: [{ id: 'another', streams: 3, moving: 0, off: true }], partial: true, missing: ['x'] } };
  await share();
  await person.sees('The streams are shared evenly already. REBALANCE is off at another. Some instances did not answer.');
  answer = { status: 409, json: { code: 'rebalance-off', detail: 'x' } };
  await person.forgiving(async () => {
    await share();
    await person.sees(/its setting REBALANCE is off/);
  });
  t.equal(asked, 3);
  t.strictSame(person.faults, []);
});

await t.test('the views of an administrator look right, with what opens there', async (t) => {
  for (const look of LOOKS) {
    const person = await Person.open(t, browser, guarded.url, look);
    await person.goto('#/keys');
    t.strictSame(await person.looksWrong(), [], `sign in ${look.width}`);
    await person.signIn(ROOT.text);
    await person.press(/^Rotate/);
    await person.page.locator('dialog').waitFor();
    t.strictSame(await person.looksWrong(), [], `rotate ${look.width}`);
    await person.press('Rotate it');
    await person.sees(/It is shown this once/);
    await until('it is within the window', async () => {
      const place = await person.page.locator('.made').boundingBox();
      return place !== null && place.y >= 0 && place.y + place.height <= 800;
    });
    await person.page.getByLabel('do this').selectOption({ label: 'operate' });
    await person.press('Ask');
    await person.sees('You may operate.');
    t.strictSame(await person.looksWrong(), [], `keys ${look.width}`);
    t.strictSame(person.faults, []);
  }
});
