import t from 'tap';
import { newPage, servePage, startCachingBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** Pages of Chromium that come back from its cache of pages, and pages that may store nothing. */

const [browser, origin] = await Promise.all([startCachingBrowser(t), servePage(t)]);
const elsewhere = await servePage(t);
const instance = await startInstance(t, { LOG_LEVEL: 'error', CORS_ORIGINS: origin, RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const publish = (topic: string, count: number, first = 0): Promise<unknown> => http.batch(numbers(count).map((index) => ({ topic, data: first + index })));

for (const share of [false, true]) void t.test(`a page that comes back from the cache goes on where it was: share ${share}`, async (t) => {
  let attempt = 0;
  // Chromium keeps no page that it has no memory for, and none whose connections wait too long for it.
  await until('a page came back from the cache', async () => {
    const page = await newPage(browser);
    const topic = `back.${share}.${attempt++}`;
    await page.goto(origin);
    await page.evaluate(`(async () => {
      const { connect } = await import('${instance.url}/client.js');
      globalThis.heard = [];
      addEventListener('pageshow', ({ persisted }) => { globalThis.isBack = persisted; });
      globalThis.tidings = connect('${instance.url}', { share: ${share} });
      tidings.subscribe('${topic}').on('message', ({ data }) => heard.push(data));
    })()`);
    await until('it is live', async () => await page.evaluate('tidings.status') === 'live');
    await publish(topic, 10);
    await until('all are there', async () => (await page.evaluate<unknown[]>('heard')).length === 10);
    await page.goto(elsewhere.replace('127.0.0.1', 'localhost'));
    await publish(topic, 10, 10);
    // It loads nothing.
    await page.goBack({ waitUntil: 'commit' });
    const isBack = await page.evaluate<boolean>('globalThis.isBack === true');
    if (isBack) {
      await publish(topic, 10, 20);
      await until('what came meanwhile is there', async () => (await page.evaluate<unknown[]>('heard')).length >= 30);
      t.strictSame(await page.evaluate('heard'), numbers(30));
      await until('it is live again', async () => await page.evaluate('tidings.status') === 'live');
    }
    await page.close();
    return isBack;
  });
});

void t.test('a page that may store nothing hears everything, from the beginning at each reload', async (t) => {
  const page = await newPage(browser);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  // As where a user has forbidden it.
  await page.addInitScript(`for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(globalThis, name, { get() { throw new DOMException('denied', 'SecurityError'); } })`);
  for (const reload of [1, 2]) {
    await page.goto(origin);
    for (const store of ['session', 'local']) await page.evaluate(`(async () => {
      const { connect } = await import('${instance.url}/client.js');
      globalThis.${store} = [];
      connect('${instance.url}', { store: '${store}' }).subscribe('forbidden', { after: 'start' }).on('message', ({ data }) => ${store}.push(data));
    })()`);
    await publish('forbidden', 5, 5 * (reload - 1));
    for (const store of ['session', 'local']) {
      await until('all are there', async () => (await page.evaluate<unknown[]>(store)).length >= 5 * reload);
      t.strictSame(await page.evaluate(store), numbers(5 * reload), store);
    }
  }
  t.strictSame(faults, []);
  await page.close();
});

void t.test('a page in a frame without an origin, where there is no storage, no lock and no channel, hears everything', async (t) => {
  const open = await startInstance(t, { LOG_LEVEL: 'error', CORS_ORIGINS: '*' });
  const page = await newPage(browser);
  await page.goto(origin);
  await page.evaluate(`document.body.append(Object.assign(document.createElement('iframe'), { sandbox: 'allow-scripts', srcdoc: '<!doctype html>' }))`);
  await until('the frame is there', () => page.frames().length === 2);
  const frame = page.frames()[1]!;
  t.equal(await frame.evaluate("(() => { try { return typeof localStorage; } catch (error) { return error.name; } })()"), 'SecurityError');
  await frame.evaluate(`(async () => {
    const { connect } = await import('${open.url}/client.js');
    globalThis.heard = [];
    connect('${open.url}', { store: 'local', share: true }).subscribe('framed', { after: 'start' }).on('message', ({ data }) => heard.push(data));
  })()`);
  await new Http(t, open.url).batch(numbers(5).map((data) => ({ topic: 'framed', data })));
  await until('all are there', async () => (await frame.evaluate<unknown[]>('heard')).length >= 5);
  t.strictSame(await frame.evaluate('heard'), numbers(5));
  await page.close();
});
