import t from 'tap';
import { newPage, servePage, startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** The client library in Chromium, as the service serves it, in a page of another origin. */

const [browser, origin] = await Promise.all([startBrowser(t), servePage(t)]);
const instance = await startInstance(t, { LOG_LEVEL: 'error', CORS_ORIGINS: origin, RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);
const page = await newPage(browser);
const faults: string[] = [];
page.on('pageerror', (error) => faults.push(error.message));
await page.goto(origin);

/** One import, and the page hears; what it heard outlives it. */
const LISTEN = `(async () => {
  const { connect } = await import('${instance.url}/client.js');
  const heard = JSON.parse(sessionStorage.getItem('heard') ?? '[]');
  globalThis.heard = heard;
  globalThis.tidings = connect('${instance.url}', { store: 'session' });
  tidings.subscribe('page.*', { last: 2 }).on('message', ({ data }) => { heard.push(data); sessionStorage.setItem('heard', JSON.stringify(heard)); });
})()`;
const heard = (): Promise<unknown[]> => page.evaluate<unknown[]>('heard');
const status = (): Promise<string> => page.evaluate<string>('tidings.status');
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
let published = 0;
const publish = async (count: number): Promise<void> => {
  await http.batch(Array.from({ length: count }, (_, index) => ({ topic: `page.${index % 3}`, data: published + index })));
  published += count;
};

void t.test('a page publishes and hears, and goes on where it was after a reload', async (t) => {
  await publish(2);
  await page.evaluate(LISTEN);
  await until('it is live', async () => await status() === 'live');
  await publish(20);
  await until('all are there', async () => (await heard()).length === published);
  await page.goto('about:blank');
  await publish(30);
  await page.goto(origin);
  await page.evaluate(LISTEN);
  await until('what came meanwhile is there', async () => (await heard()).length >= published);
  await page.evaluate(`tidings.publish('page.own', ${published++})`);
  await until('its own is there', async () => (await heard()).length >= published);
  t.strictSame(await heard(), numbers(published));
});

void t.test('a page changes the topics of its stream, and sees who listens', async (t) => {
  const opened = await http.metric('streams_opened_total');
  await page.evaluate(`(async () => {
    globalThis.added = [];
    tidings.subscribe('added', { after: 'start' }).on('message', ({ data }) => added.push(data));
  })()`);
  await until('it is live again', async () => await status() === 'live');
  await http.batch([{ topic: 'added', data: 1 }]);
  await until('it is there', async () => (await page.evaluate<number[]>('added')).length === 1);
  t.equal(await http.metric('streams_opened_total'), opened);
  await page.evaluate("void tidings.presence('added').on('change', ({ streams }) => { globalThis.listening = streams; })");
  await until('its two streams are told', async () => await page.evaluate('globalThis.listening') === 2);
});

void t.test('a page without its network goes on once it is back', async (t) => {
  await page.context().setOffline(true);
  // Chromium cuts no connection that is open.
  await instance.restart('SIGKILL');
  await publish(10);
  await until('it has noticed', async () => await status() === 'offline');
  await page.context().setOffline(false);
  await until('all are there', async () => (await heard()).length >= published);
  t.strictSame(await heard(), numbers(published));
  t.strictSame(faults, []);
});
