import { join } from 'node:path';
import t from 'tap';
import { openContext, startBrowser } from '../support/browser.ts';
import { emptyDatabase } from '../support/database.ts';
import { Load } from '../support/fleet-load.ts';
import { readHistory } from '../support/fleet-publishers.ts';
import { seeded } from '../support/fleet-random.ts';
import { PATIENT_CHECKS, startHaproxy } from '../support/haproxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer, createKey } from '../support/keys-command.ts';
import { freePort } from '../support/ports.ts';
import { versionBefore } from '../support/program-copy.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

/** Access control is turned on in a fleet whose version before knows none, in the order of docs/access-rollout.md, and off again. */

const ENV = { POLL_MS: '50', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200', DRAIN_SECONDS: '1', HEARTBEAT_SECONDS: '1' };
const STREAMS = rounds(6, 60);
const MESSAGES = rounds(10, 200);
/** Most of the time goes by while instances start: publishers leave them the machine. */
const THINK_MS = 40;
const COOKIE = 'tidings';

const before = versionBefore(t, 'src/access/access.ts');

/** What the page has got, and whether its EventSource gave up for good. */
interface InPage {
  readonly ids: readonly string[];
  readonly closed: boolean;
}

t.test('from a version without keys to AUTH=on and back, in order: no client is ever refused, and nothing is lost or doubled', { skip: before === undefined ? 'the history of this folder does not have the version before' : false }, async (t) => {
  const old = join(before!, 'src/main.ts');
  const env = { ...ENV, DATABASE_URL: await emptyDatabase(t) };
  const instances = [await startInstance(t, env, { entry: old }), await startInstance(t, env, { entry: old })] as const;
  // The shipped file names three servers. Nothing is at the last one.
  const balancer = await startHaproxy(t, [...instances.map(({ port }) => port), await freePort()], { replace: PATIENT_CHECKS });
  const context = await openContext(t, await startBrowser(t));
  const page = await context.newPage();
  await page.goto(`${balancer.url}/healthz`);
  await page.evaluate(`(() => {
    const seen = window.seen = { ids: [], closed: false };
    const source = new EventSource('/topics/shops.%3E/events?after=start');
    source.onmessage = ({ lastEventId }) => seen.ids.push(lastEventId);
    source.onerror = () => { seen.closed ||= source.readyState === EventSource.CLOSED; };
  })()`);
  const inPage = (): Promise<InPage> => page.evaluate<InPage>('window.seen');
  const load = new Load(t, { urls: instances.map(({ url }) => url), random: seeded(t), publishers: 3, streams: STREAMS, cutEvery: 8, think: THINK_MS });
  const publishInPage = async (text: string): Promise<number> => {
    const topic = 'shops.oslo.news';
    const notes = load.publishers.note([{ topic, text }]);
    const { status, body } = await page.evaluate<{ status: number; body: string }>(`fetch('/topics/${topic}', { method: 'POST', body: '${text}' }).then(async (answer) => ({ status: answer.status, body: await answer.text() }))`);
    if (status === 201) load.publishers.answered(notes, { status, headers: {}, body });
    return status;
  };
  /** What somebody without a credential gets of each instance. */
  const stranger = (): Promise<number[]> => Promise.all(instances.map(async ({ url }) => (await new Http(t, url).get('/topics/shops.oslo.news/messages')).status));

  await load.open();
  load.start();
  await load.more(MESSAGES);
  t.equal(await publishInPage('by the page, of the version before'), 201);

  // 1: the new version, as open as the one before. An old instance beside it crashes, and starts again.
  await instances[0].replace(undefined, { AUTH: 'off', AUTH_COOKIE: COOKIE });
  await load.more(MESSAGES);
  await instances[1].restart('SIGKILL');
  await load.more(MESSAGES);
  await instances[1].replace(undefined, { AUTH: 'off', AUTH_COOKIE: COOKIE });
  await load.more(MESSAGES);

  // 2: keys.
  const { key } = await createKey(t, env, '--name', 'everybody', '--publish', 'shops.>', '--subscribe', '>');
  await load.more(MESSAGES);
  t.same(await stranger(), [200, 200], 'nobody looks at credentials yet');

  // 3: clients.
  load.identify(bearer(key));
  await context.addCookies([{ name: COOKIE, value: key, url: balancer.url }]);
  await load.more(MESSAGES);
  t.equal(await publishInPage('by the page, with its cookie'), 201);

  // 4: AUTH=on, one after the other.
  await instances[0].replace(undefined, { AUTH: 'on' });
  t.same(await stranger(), [401, 200]);
  await load.more(MESSAGES);
  await instances[1].replace(undefined, { AUTH: 'on' });
  t.same(await stranger(), [401, 401]);
  await load.more(MESSAGES);
  t.equal(await publishInPage('by the page, with the cookie that counts'), 201);

  // The way back.
  await Promise.all(instances.map((instance) => instance.replace(undefined, { AUTH: 'off' })));
  await load.more(MESSAGES);
  await Promise.all(instances.map((instance) => instance.replace(old)));
  await load.more(MESSAGES);
  await load.finish();

  t.comment(load.summary);
  t.same(load.gaveUp, [], 'no stream was ever answered with anything but 200');
  t.same(await load.faults(instances[0].url), []);
  const published = (await readHistory(new Http(t, instances[0].url), 'shops.>')).map(({ id }) => id);
  await until('the page has all', async () => {
    const { ids, closed } = await inPage();
    return closed || ids.length >= published.length;
  });
  t.same(await inPage(), { ids: published, closed: false }, 'the page has every message once, in order, with the EventSource of its beginning');
});
