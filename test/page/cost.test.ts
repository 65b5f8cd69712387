import { t } from 'tap';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';
import { Person } from './support/person.ts';

/** What the page may cost, as far as that does not depend on the speed of a machine. `npm run page-cost` measures the rest. */

/** The page holds 10,000 rows: it has let go of some. */
const MESSAGES = 12_000;
const BATCH_MESSAGES = 1_000;
const HEAP_MAX_BYTES = 50 * 1024 * 1024;
/** A window has some twenty rows, and each of them some elements. */
const NODES_MAX_ENTRIES = 1_500;
const WATCHED_MS = 30_000;
const STEP_MS = 1_000;
/** The clock is stopped so far ahead that it cannot have passed that time. */
const AHEAD_MS = 600_000;

const [instance, browser] = await Promise.all([startInstance(t, { LOG_LEVEL: 'error' }), startBrowser(t)]);
const http = new Http(t, instance.url);

await t.test('a feed through which very many messages have gone takes no more memory, and shows no more elements, than its bounds allow', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/feed?topics=many&from=now');
  await until('its stream is open', async () => (await http.json<{ readonly streams: readonly unknown[] }>('/streams?topic=many')).streams.length === 1);
  const text = 'x'.repeat(500);
  for (let sent = 0; sent < MESSAGES; sent += BATCH_MESSAGES) await http.batch(Array.from({ length: BATCH_MESSAGES }, (_none, place) => ({ topic: 'many', data: { number: sent + place, text } })));
  await until('all have come', async () => (await person.texts('.feed .counts')).some((counts) => counts.startsWith(MESSAGES.toLocaleString('en'))));
  t.match((await person.texts('.feed .counts'))[0], /the oldest [\d,]+ dropped from this page/);
  const session = await person.page.context().newCDPSession(person.page);
  await session.send('HeapProfiler.collectGarbage');
  await session.send('Performance.enable');
  const { metrics } = await session.send('Performance.getMetrics');
  const figure = (wanted: string): number => metrics.find(({ name }) => name === wanted)!.value;
  t.ok(figure('JSHeapUsedSize') < HEAP_MAX_BYTES, `${figure('JSHeapUsedSize')} bytes`);
  const elements = await person.page.evaluate<number>('document.querySelectorAll("*").length');
  t.ok(elements < NODES_MAX_ENTRIES, `${elements} elements`);
  t.strictSame(person.faults, []);
});

await t.test('a view asks so often at most, and not at all while it is not seen', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  const asked = new Map<string, number>();
  person.page.on('request', (request) => {
    const name = new URL(request.url()).pathname.replace(/^\/instances\/.*/, '/instances/…');
    asked.set(name, (asked.get(name) ?? 0) + 1);
  });
  await person.page.clock.install();
  await person.goto('#/fleet');
  await person.sees('The last hour');
  await until('there are charts or there will be', async () => await person.page.locator('.chart canvas, .empty-title').count() > 0);
  await until('one instance was asked', () => asked.has('/instances/…'));
  await person.page.clock.pauseAt(new Date(Date.now() + AHEAD_MS));
  asked.clear();
  for (let passed = 0; passed < WATCHED_MS; passed += STEP_MS) await person.page.clock.runFor(STEP_MS);
  t.ok((asked.get('/instances') ?? 0) <= WATCHED_MS / 2_000 + 1, `${asked.get('/instances')}`);
  t.ok((asked.get('/instances/…') ?? 0) <= WATCHED_MS / 10_000 + 1, `${asked.get('/instances/…')}`);
  // An answer that is still on its way puts the next question off.
  await until('it does ask', async () => {
    await person.page.clock.runFor(STEP_MS);
    return asked.size > 0;
  });
  t.strictSame([...asked.keys()].filter((name) => !name.startsWith('/instances')), [], 'nothing else');

  await person.page.evaluate('Object.defineProperty(document, "visibilityState", { value: "hidden" })');
  await person.page.clock.runFor(STEP_MS * 20);
  asked.clear();
  for (let passed = 0; passed < WATCHED_MS; passed += STEP_MS) await person.page.clock.runFor(STEP_MS);
  t.strictSame([...asked], []);
  t.strictSame(person.faults, []);
});
