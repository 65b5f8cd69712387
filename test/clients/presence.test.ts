import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t from 'tap';
import { newPage, servePage, startBrowser } from '../support/browser.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Pages in Chromium that show who is there, with the code of the document, on two processes that share one SQLite file and no Redis. */

const CODE = /```js\n([^]*?)```/.exec(readFileSync(join(import.meta.dirname, '../../docs/presence.md'), 'utf8'))![1]!;

const browser = await startBrowser(t);
const site = await servePage(t);
const env = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, CORS_ORIGINS: site, PRESENCE_GRACE_SECONDS: '1', RETRY_MIN_MS: '50', RETRY_MAX_MS: '200' };
const instances = [await startInstance(t, env), await startInstance(t, env)] as const;

/** A tab of somebody, which lists everybody. */
async function tab(id: string, url: string): Promise<Page> {
  const page = await newPage(browser);
  await page.goto(site);
  await page.evaluate(`{
    const present = new Map();
    const events = new EventSource(${JSON.stringify(`${url}/topics/room.7/events?presence=1&as=${encodeURIComponent(id)}`)});
    ${CODE}
    const list = document.body.appendChild(document.createElement('ul'));
    events.addEventListener('$presence', () => list.replaceChildren(...[...present.values()].map(({ id, streams }) => {
      const item = document.createElement('li');
      item.textContent = id + ' ' + streams;
      return item;
    })));
    window.left = [];
    events.addEventListener('$presence', ({ data }) => left.push(...JSON.parse(data).left ?? []));
  }`);
  return page;
}

async function shows(page: Page, what: string): Promise<void> {
  let last = '';
  await until(`the page shows ${what}`, async () => (last = (await page.locator('li').allTextContents()).sort().join()) === what).catch((error: unknown) => {
    throw new Error(`${String(error)}; it shows ${last}`);
  });
}

t.test('a page shows its members on every process: two tabs are one member, which leaves with the last tab and stays over a reload', async (t) => {
  const watcher = await tab('wanda', instances[0].url);
  await shows(watcher, 'wanda 1');
  const first = await tab('jörg', instances[0].url);
  const second = await tab('jörg', instances[1].url);
  await shows(watcher, 'jörg 2,wanda 1');
  await shows(second, 'jörg 2,wanda 1');
  await first.close();
  await shows(watcher, 'jörg 1,wanda 1');
  // A reload: the stream ends, and another begins within the grace period.
  const again = await tab('jörg', instances[0].url);
  await second.close();
  await shows(watcher, 'jörg 1,wanda 1');
  t.same(await watcher.evaluate('left'), []);
  await again.close();
  await shows(watcher, 'wanda 1');
  t.same(await watcher.evaluate('left'), ['jörg']);
});
