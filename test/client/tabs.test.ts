import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { openContext, servePage, startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** Tabs of Chromium that share one stream: the one that leads is closed, crashes, is frozen, or is suspended without a word. */

const [browser, origin] = await Promise.all([startBrowser(t), servePage(t)]);
const instance = await startInstance(t, { LOG_LEVEL: 'error', CORS_ORIGINS: origin, RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);
const context = await openContext(t, browser);
const faults: string[] = [];
context.on('weberror', (error) => faults.push(error.error().message));

interface Tab {
  readonly name: string;
  readonly topic: string;
  readonly page: Page;
}

let opened = 0;
/** A tab that has heard what `heard` has. It has a lock by which it is found. */
async function openTab(topic: string): Promise<Tab> {
  const name = `tab ${opened++}`;
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(origin);
  await page.evaluate(`(async () => {
    const { connect } = await import('${instance.url}/client.js');
    void navigator.locks.request('${name}', () => new Promise(() => {}));
    globalThis.heard = [];
    globalThis.tidings = connect('${instance.url}', { share: true });
    tidings.subscribe('${topic}', { after: 'start' }).on('any', ({ data }) => heard.push(data));
  })()`);
  await until(`${name} is live`, async () => await page.evaluate('tidings.status') === 'live');
  return { name, topic, page };
}

const heard = ({ page }: Tab): Promise<number[]> => page.evaluate<number[]>('heard');
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
let published = 0;
/** One after the other, to both topics in turn. */
async function publish(count: number): Promise<void> {
  for (const end = published + count; published < end; published++) await http.batch([{ topic: published % 2 === 0 ? 'tab.even' : 'tab.odd', data: published }]);
}

/** The name of the tab that has the lead. */
async function leader(observer: Page): Promise<string | undefined> {
  return observer.evaluate<string | undefined>(`navigator.locks.query().then(({ held }) => {
    const lead = held.find(({ name }) => name.startsWith('["tidings') && name.endsWith(']'));
    return held.find(({ name, clientId }) => name.startsWith('tab ') && clientId === lead?.clientId)?.name;
  })`);
}

const observer = await context.newPage();
await observer.goto(origin);
const tabs = [await openTab('tab.*'), await openTab('tab.*'), await openTab('tab.odd')];

/** Does it to the leader while a publisher goes on, until another tab leads. */
async function depose(how: (tab: Tab) => Promise<void>): Promise<Tab> {
  const name = await leader(observer);
  const tab = tabs.find((each) => each.name === name)!;
  await Promise.all([publish(40), how(tab)]);
  await until('another tab leads', async () => ![undefined, name].includes(await leader(observer)));
  await publish(10);
  return tab;
}

/** Another tab takes the place of one that is gone. */
async function replace(tab: Tab): Promise<void> {
  tabs.splice(tabs.indexOf(tab), 1, await openTab(tab.topic));
}

/** Each tab has everything, once and in order, over one stream. */
async function check(t: Test): Promise<void> {
  for (const tab of tabs) {
    const expected = numbers(published).filter((data) => tab.topic === 'tab.*' || data % 2 === 1);
    await until(`all are there: ${tab.name}`, async () => (await heard(tab)).length >= expected.length);
    t.strictSame(await heard(tab), expected, tab.name);
  }
  await until('there is one stream', async () => await http.metric('streams') === 1);
}

void t.test('tabs share one stream, and it outlives the tab that holds it', async (t) => {
  await until('there is one stream', async () => await http.metric('streams') === 1);
  await publish(10);
  await check(t);
  await replace(await depose(({ page }) => page.close()));
  await check(t);
  await replace(await depose(async ({ page }) => {
    const crashed = page.waitForEvent('crash');
    void context.newCDPSession(page).then((session) => session.send('Page.crash')).catch(() => undefined);
    await crashed;
  }));
  await check(t);
});

void t.test('a tab that is about to be frozen gives the lead away, and has everything when it is back', async (t) => {
  // Chromium freezes hidden pages alone, and here none is hidden: the page is told as if it were.
  const { page } = await depose(({ page }) => page.evaluate("void document.dispatchEvent(new Event('freeze'))"));
  await page.evaluate("void document.dispatchEvent(new Event('resume'))");
  await check(t);
});

void t.test('a tab that is suspended without a word loses the lead, and has everything when it is back', async (t) => {
  let wake = (): Promise<unknown> => Promise.resolve();
  await depose(async ({ page }) => {
    const session = await context.newCDPSession(page);
    await session.send('Debugger.enable');
    await session.send('Debugger.pause');
    void page.evaluate('0');
    await new Promise((resolve) => session.once('Debugger.paused', resolve));
    wake = () => session.send('Debugger.resume');
  });
  await wake();
  await check(t);
});

void t.test('with eight tabs over HTTP/1.1 everything still loads', async (t) => {
  while (tabs.length < 8) tabs.push(await openTab('tab.*'));
  for (const { page } of tabs) t.match(await page.evaluate(`tidings.publish('tab.other', ${published++})`), { topic: 'tab.other' });
  for (const tab of tabs) {
    if (tab.topic === 'tab.*') await until('all are there', async () => (await heard(tab)).length >= published);
  }
  await until('there is one stream', async () => await http.metric('streams') === 1);
  t.strictSame(faults, []);
});
