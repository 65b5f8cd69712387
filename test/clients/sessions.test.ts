import type { Page } from 'playwright-core';
import t from 'tap';
import { openContext, servePage, startBrowser } from '../support/browser.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer, createKey } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Pages in Chromium that log in, stream through restarts, and log out, which ends their streams. What is Secure and SameSite is for the browser to say. */

const TOPIC = '/topics/user.alice.inbox';
const browser = await startBrowser(t, '--host-resolver-rules=MAP foreign.example 127.0.0.1');
const named = await servePage(t);
const env = { DATABASE_URL: await emptyDatabase(t), AUTH_COOKIE: '__Host-tidings', CORS_ORIGINS: `${named},${named.replace('127.0.0.1', 'foreign.example')}`, POLL_MS: '50', RETRY_MIN_MS: '50', RETRY_MAX_MS: '200', DRAIN_SECONDS: '1' };
const { key } = await createKey(t, env, '--name', 'alice', '--publish', 'user.alice.>', '--subscribe', 'user.alice.>');
const [one, two] = await Promise.all([startInstance(t, env), startInstance(t, env)]);
const http = new Http(t, one.url);

async function open(t: Scope, url: string): Promise<Page> {
  const context = await openContext(t, browser);
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

/** A request of the page with its cookies: the status of the answer, or why there is none. */
function ask(page: Page, method: string, url: string, headers: Readonly<Record<string, string>> = {}): Promise<number | string> {
  return page.evaluate<number | string>(`fetch(${JSON.stringify(url)}, { method: ${JSON.stringify(method)}, headers: ${JSON.stringify(headers)}, credentials: 'include' }).then(({ status }) => status, String)`);
}

/** Opens a stream that notes what it gets, and whether it gave up. */
function stream(page: Page, url: string): Promise<void> {
  return page.evaluate(`(() => {
    const got = window.got = [];
    const source = window.source = new EventSource(${JSON.stringify(url)}, { withCredentials: true });
    source.addEventListener('$open', () => got.push('open'));
    source.onmessage = ({ data }) => got.push(data);
    source.onerror = () => got.push(source.readyState === EventSource.CLOSED ? 'gave up' : 'cut');
  })()`);
}

async function gets(page: Page, what: string, times = 1): Promise<void> {
  await until(`the page gets ${what}`, async () => (await page.evaluate<string[]>('window.got')).filter((one) => one === what).length >= times);
}

async function publish(text: string): Promise<void> {
  t.equal((await http.post('user.alice.inbox', text, bearer(key))).status, 201);
}

for (const [name, url] of [['of the same host', `${one.url}/healthz`], ['of a named origin', named]] as const) {
  t.test(`a page ${name} logs in, streams through a restart and to another instance, and logs out`, async (t) => {
    const page = await open(t, url);
    t.equal(await ask(page, 'GET', `${one.url}/session`), 401);
    t.equal(await ask(page, 'POST', `${one.url}/session`, bearer(key)), 201);
    t.equal(await page.evaluate('document.cookie'), '', 'no script sees it');
    t.equal(await ask(page, 'GET', `${one.url}/session`), 200);
    t.equal(await ask(page, 'POST', `${one.url}${TOPIC}`), 201, 'it publishes');

    await stream(page, `${one.url}${TOPIC}/events`);
    await gets(page, 'open');
    await publish(`before ${name}`);
    await gets(page, `before ${name}`);
    await one.restart('SIGKILL');
    await gets(page, 'open', 2);
    await publish(`after ${name}`);
    await gets(page, `after ${name}`);
    // Cookies know no ports, so this is the same browser behind a load balancer. The page of a named origin may ask it, too.
    if (url === named) {
      await page.evaluate('window.source.close()');
      await stream(page, `${two.url}${TOPIC}/events`);
      await gets(page, 'open');
    }

    t.equal(await ask(page, 'DELETE', `${one.url}/session`), 204);
    t.equal(await ask(page, 'GET', `${one.url}/session`), 401);
    t.same(await page.context().cookies(), [], 'the browser has forgotten it');
    await gets(page, 'gave up');
  });
}

t.test('a login anew ends the session before: its stream comes back with the new cookie, and misses nothing', async (t) => {
  const page = await open(t, `${one.url}/healthz`);
  await ask(page, 'POST', `${one.url}/session`, bearer(key));
  await stream(page, `${one.url}${TOPIC}/events`);
  await gets(page, 'open');
  await ask(page, 'POST', `${one.url}/session`, bearer(key));
  await publish('meanwhile');
  await gets(page, 'open', 2);
  await gets(page, 'meanwhile');
});

t.test('a stream ends when its session is ended elsewhere, and does not come back', async (t) => {
  const page = await open(t, named);
  await ask(page, 'POST', `${one.url}/session`, bearer(key));
  await stream(page, `${one.url}${TOPIC}/events`);
  await gets(page, 'open');
  const [cookie] = await page.context().cookies();
  t.match(cookie, { name: '__Host-tidings', secure: true, httpOnly: true, sameSite: 'Strict', path: '/', domain: '127.0.0.1' });
  t.equal((await new Http(t, two.url).send('DELETE', '/session', { cookie: `${cookie!.name}=${cookie!.value}`, origin: two.url })).status, 204);
  await gets(page, 'gave up');
});

t.test('a page of another site keeps no session, though its origin is named: its browser sends and takes no cookie of ours', async (t) => {
  const page = await open(t, named.replace('127.0.0.1', 'foreign.example'));
  t.equal(await ask(page, 'POST', `${one.url}/session`, bearer(key)), 201, 'its key is good');
  t.same(await page.context().cookies(), []);
  t.equal(await ask(page, 'GET', `${one.url}/session`), 401);
});

t.test('a page of an origin that is not named can neither log its visitor in nor out', async (t) => {
  const page = await open(t, `${one.url}/healthz`);
  t.equal(await ask(page, 'POST', `${one.url}/session`, bearer(key)), 201);
  const foreign = await page.context().newPage();
  await foreign.goto(await servePage(t));
  t.match(await ask(foreign, 'POST', `${one.url}/session`, bearer(key)), /TypeError/);
  t.match(await ask(foreign, 'DELETE', `${one.url}/session`), /TypeError/);
  // A form is sent without a preflight.
  const answer = foreign.waitForResponse(`${one.url}/session`);
  await foreign.evaluate(`document.body.appendChild(Object.assign(document.createElement('form'), { method: 'POST', action: ${JSON.stringify(`${one.url}/session`)} })).submit()`);
  t.equal((await answer).status(), 403);
  t.equal(await ask(page, 'GET', `${one.url}/session`), 200, 'the session is the same');
});
