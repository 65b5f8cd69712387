import { join } from 'node:path';
import t from 'tap';
import { newPage, startBrowser } from '../support/browser.ts';
import { Child } from '../support/child.ts';
import { Http } from '../support/http.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** What `npm run examples` starts, and what a reader sees of it. */

const EXAMPLES = join(import.meta.dirname, '../../examples');

const [port, pagesPort] = [await freePort(), await freePort()];
const service = `http://127.0.0.1:${port}`;
const origin = `http://127.0.0.1:${pagesPort}`;
// Its end is the service's, which SIGKILL would leave behind.
const program = new Child(t, process.execPath, [join(EXAMPLES, 'serve.ts')], {
  cwd: tempFolder(t), ending: 'SIGTERM', env: { PATH: process.env['PATH'], PORT: String(port), PAGES_PORT: String(pagesPort), LOG_LEVEL: 'warn', DRAIN_SECONDS: '1' },
});
const [browser] = await Promise.all([startBrowser(t), program.says('Tidings listens on'), program.says('The examples:')]);
const http = new Http(t, service);
const page = await newPage(browser);
const faults: string[] = [];
page.on('pageerror', (error) => faults.push(error.message));
page.on('console', (message) => {
  if (['error', 'warning'].includes(message.type())) faults.push(message.text());
});
const text = (selector: string): Promise<string | null> => page.textContent(selector);
const live = (): Promise<void> => until('the page is live', async () => await text('#status') === 'live');
const publish = async (topic: string, data: unknown, event = 'message'): Promise<void> => {
  await http.batch([{ topic, data, event }]);
};

void t.test('the start page leads to the pages; other paths are not found', async (t) => {
  await page.goto(`${origin}/`);
  t.strictSame(await page.evaluate(`[...document.querySelectorAll('h2 a')].map(({ pathname }) => pathname)`), ['/dashboard/', '/bell/']);
  const pages = new Http(t, origin);
  for (const path of ['/serve.ts', '/bell/../serve.ts', '/%2e%2e/package.json', '/bell/none.js', '/.env', '//', '//x']) t.equal((await pages.get(path)).status, 404, path);
});

void t.test('the dashboard shows each measurement, and all of them after a reload', async (t) => {
  await page.goto(`${origin}/dashboard/`);
  await live();
  await until('this machine is measured', async () => (await text('#cpu .value'))!.endsWith(' %') && (await text('#memory .value'))!.endsWith(' %'));
  await publish('metrics.cpu', 'no measurement');
  await until('there is a curve', async () => await page.locator('#cpu .curve').count() > 0);
  // A machine that is busy measures late: then there are several curves.
  const points = (): Promise<number> => page.evaluate<number>(`[...document.querySelectorAll('#cpu .curve')].reduce((sum, curve) => sum + curve.getAttribute('d').split(/[ML]/).length - 1, 0)`);
  await until('it goes on', async () => await points() >= 3);
  const before = await points();
  await page.reload();
  await until('the curve is there again', async () => await points() > 0);
  t.ok(await points() >= before, 'what came before is drawn at once');
});

void t.test('a bell counts what its user has not read, after a reload too', async (t) => {
  const unread = async (): Promise<readonly (string | null)[]> => [await text('#ana .count'), await text('#ben .count')];
  await page.goto(`${origin}/bell/`);
  await live();
  await publish('notifications.ana', 'first');
  await publish('notifications.ana', '<img src=x onerror=alert(1)>');
  await page.fill('#ben input', 'hello Ben');
  await page.click('#ben .main');
  await until('both bells ring', async () => (await unread()).join() === '2,1');
  t.equal(await text('#ana li span'), '<img src=x onerror=alert(1)>', 'what others send is text');
  await page.click('#ana .read');
  t.strictSame([await page.isVisible('#ana .count'), await page.isVisible('#ben .count')], [false, true]);
  await page.reload();
  await until('all are there', async () => await page.locator('li').count() === 3);
  t.strictSame([await page.isVisible('#ana .count'), await text('#ben .count')], [false, '1']);
  await publish('notifications.ana', { build: 7 });
  await until('one is new', async () => await text('#ana .count') === '1' && await page.isVisible('#ana .count'));
  t.equal(await text('#ana li.unread span'), '{"build":7}');
});

void t.test('the feed prints deploys, and goes on where it was', async (t) => {
  const cwd = tempFolder(t);
  const feed = (): Child => new Child(t, process.execPath, [join(EXAMPLES, 'deploys/feed.ts')], { cwd, env: { PATH: process.env['PATH'], NO_COLOR: '1', TIDINGS_URL: service } });
  await publish('deploys.api', { version: '1.4.2', by: 'ana' }, 'started');
  const first = feed();
  await first.says(/\d\d:\d\d:\d\d {2}started {5}api {11}1\.4\.2 {2}by ana\n/);
  await first.says('Waiting for deploys.');
  first.kill('SIGTERM');
  t.equal((await first.exited).code, 0);
  await publish('deploys.api', { version: '1.4.2', by: 'a\u{1b}[2Jna' }, 'succeeded');
  const second = feed();
  await second.says(/succeeded {3}api {11}1\.4\.2 {2}by a\?\[2Jna\n/);
  t.notMatch(second.output, 'started', 'what was shown is not shown again');
});

void t.test('beside another service they do not start, and publish nothing there', async (t) => {
  const second = new Child(t, process.execPath, [join(EXAMPLES, 'serve.ts')], { cwd: tempFolder(t), env: { PATH: process.env['PATH'], PORT: String(port), PAGES_PORT: String(await freePort()) } });
  t.equal((await second.exited).code, 1);
  t.match(second.output, /^PORT: the service cannot listen at .*EADDRINUSE/);
  t.notMatch(second.output, 'The examples:');
});

void t.test('no page has anything to complain of', async (t) => {
  t.strictSame(faults, []);
});

void t.test('it ends in order, and takes the service along', async (t) => {
  await page.close();
  program.kill('SIGTERM');
  t.equal((await program.exited).code, 0);
  await t.rejects(http.get('/healthz'));
});
