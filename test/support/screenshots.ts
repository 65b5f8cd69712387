import { join } from 'node:path';
import { newPage, startWholeBrowser } from './browser.ts';
import { Http } from './http.ts';
import { startInstance } from './instance.ts';
import type { Scope } from './temp.ts';

/** `npm run screenshots`: makes the picture of the README anew, from the service as it is. */

const PICTURE = join(import.meta.dirname, '../../docs/page.png');
const DEPLOYS = [
  ['deploys.api', 'started', { version: '1.4.2', by: 'ana' }], ['deploys.api', 'succeeded', { version: '1.4.2', by: 'ana', seconds: 48 }], ['orders.created', 'message', { order: 1042, total: '19.90', items: 3 }],
  ['deploys.web', 'started', { version: '2.0.0', by: 'ben' }], ['room.7', 'message', 'Good morning, everybody'], ['metrics.cpu', 'message', { percent: 12.5, host: 'web-1' }], ['deploys.web', 'failed', { version: '2.0.0', by: 'ben', step: 'migrate' }],
] as const;

const endings: (() => unknown)[] = [];
const scope: Scope = { teardown: (end) => void endings.unshift(end) };
try {
  const [instance, browser] = await Promise.all([startInstance(scope, { LOG_LEVEL: 'error' }), startWholeBrowser(scope)]);
  await new Http(scope, instance.url).batch(DEPLOYS.map(([topic, event, data]) => ({ topic, event, data })));
  const page = await newPage(browser);
  await page.setViewportSize({ width: 1280, height: 910 });
  await page.goto(instance.url);
  await page.getByText('1042').first().waitFor();
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('it has come back in the feed').waitFor();
  await page.locator('.row-message', { hasText: 'failed' }).click();
  await page.mouse.move(0, 0);
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path: PICTURE });
} finally {
  for (const end of endings) await end();
}
