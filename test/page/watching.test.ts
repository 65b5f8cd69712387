import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { t } from 'tap';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { startRedis } from '../support/redis.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { LOOKS, Person } from './support/person.ts';

/** What the page shows of two instances, of topics and of one message; and how it goes on when the service or Redis was away. */

const redis = await startRedis(t);
const settings = { DATABASE_URL: `file:${join(tempFolder(t), 'tidings.db')}`, REDIS_URL: redis.url, LOG_LEVEL: 'warn', DRAIN_SECONDS: '0' };
const [here, browser] = await Promise.all([startInstance(t, settings), startBrowser(t)]);
const there = await startInstance(t, settings);
const http = new Http(t, here.url);

interface Instances {
  readonly instances: readonly { readonly id: string; readonly streams: number }[];
  readonly partial?: true;
}
/** All polls of the page are sooner than this. */
const POLL_MS = 10_000;

/** More than the sockets of a stream may still take: it stays behind. */
const LACKING_MESSAGES = 30;
const AT_ONCE = 10;

await until('both know each other', async () => {
  const { instances, partial } = await http.json<Instances>('/instances');
  return instances.length === 2 && partial === undefined;
});

/** A stream of somebody else. */
function listen(t: Scope, { url }: Instance, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(`${url}${path}`, { agent: false }, (answer) => {
      answer.on('error', () => undefined);
      resolve(answer);
    }).on('error', reject);
    t.teardown(() => request.destroy());
  });
}

/** Somebody whose clock can be put forward, so that what the page asks from time to time is asked now. */
async function open(t: Scope, hash: string, look = LOOKS[0]): Promise<Person> {
  const person = await Person.open(t, browser, here.url, look);
  await person.page.clock.install();
  await person.goto(hash);
  return person;
}

// An instance takes figures every 10 s: these streams are there from the beginning.
for (const stream of await Promise.all([1, 2, 3].map(() => listen(t, there, '/topics/counted/events')))) stream.resume();

/** Waits until the page shows something, and lets it ask meanwhile. */
async function shows(person: Person, what: string, holds: () => Promise<boolean>): Promise<void> {
  await until(what, async () => {
    if (await holds()) return true;
    await person.page.clock.fastForward(POLL_MS);
    return holds();
  });
}

const has = (person: Person, text: string | RegExp) => async (): Promise<boolean> => await person.page.locator('main').getByText(text).count() > 0;
const hasNot = (person: Person, text: string | RegExp) => async (): Promise<boolean> => !await has(person, text)();

await t.test('a message has a page: its data as it was sent, its size, and how far it has come', async (t) => {
  const source = '{"n": 12345678901234567890, "steps": [{"name":"build","ok":true}]}';
  await listen(t, here, '/topics/seen.one/events');
  await listen(t, there, '/topics/seen.*/events');
  const { body } = await http.send('POST', '/topics/seen.one?event=built', { 'content-type': 'application/json' }, source);
  const { id } = JSON.parse(body) as { id: string };
  const person = await open(t, '#/feed?topics=seen.one&from=last:20');
  await person.page.locator('.row-message').click();
  await person.page.getByRole('link', { name: 'Its page' }).click();
  await person.sees('How far it has come');
  t.equal(new URL(person.page.url()).hash, `#/messages/${id}`);
  await person.sees('build');
  t.match((await person.texts('.facts'))[0], new RegExp(`Topicseen\\.one.*Eventbuilt.*JSON, ${Buffer.byteLength(source)} B`));
  await person.press('Copy data');
  await until('each digit is copied', async () => await person.clipboard() === source);
  // The feed of the page is a stream, too.
  await shows(person, 'all streams have passed it', has(person, /^all\s+3 of the 3 streams that get the messages of seen\.one now have passed it, on 2 instances\./));
  t.strictSame(await person.looksWrong(), []);

  const html = '<b>bold</b>';
  const text = await http.publish('seen.text', html);
  await person.goto(`#/messages/${text}`);
  await person.sees(html);
  t.match((await person.texts('.facts'))[0], `text, ${html.length} B`);
  await person.goto('#/topics/seen.text');
  await person.page.locator('.history .row-message').click();
  t.equal(await person.page.getByRole('link', { name: 'Its page' }).getAttribute('href'), `#/messages/${text}`);
  t.strictSame(person.faults, []);
});

await t.test('streams that are behind a message are named', async (t) => {
  const slow = await listen(t, there, '/topics/slow/events?as=sloth');
  slow.pause();
  let id: string | undefined;
  await until('its socket takes no more', async () => {
    [id] = await Promise.all(Array.from({ length: AT_ONCE }, () => http.publish('slow', 'x'.repeat(200_000))));
    const { lacking: [stream] } = await http.json<{ readonly lacking: readonly { readonly lacks: number }[] }>(`/messages/${id}/delivery`);
    return stream !== undefined && stream.lacks > LACKING_MESSAGES;
  });
  const person = await open(t, `#/messages/${id}`, LOOKS[1]);
  await shows(person, 'one is behind', has(person, /0 of the 1 stream that gets the messages of slow now have passed it/));
  t.match((await person.texts('tbody tr'))[0], /sloth.*message/);
  t.strictSame(await person.looksWrong(), []);
  t.strictSame(person.faults, []);
});

await t.test('a message that is not there, expired, or was erased: the page says so in words', async (t) => {
  const person = await Person.open(t, browser, here.url);
  await person.page.clock.install();
  await person.forgiving(async () => {
    await person.goto('#/messages/nothing-1');
    await person.sees(/There is no message with this id, or not any more/);
    const expired = await http.publish('short', 'soon gone', { ttl: '1' });
    await until('it has expired', async () => (await http.get(`/messages/${expired}`)).status === 404);
    await person.goto(`#/messages/${expired}`);
    await person.page.locator('code', { hasText: expired }).first().waitFor();
    await person.sees(/its time to live has passed/);
    await person.goto('#/messages');
    await person.sees(/The address of a message ends with its id/);

    const id = await http.publish('short', 'a secret');
    await person.goto(`#/messages/${id}`);
    await person.sees('a secret');
    let problem = { status: 404, code: 'message-not-found' };
    await person.page.route(`**/messages/${id}*`, (route) => route.fulfill({ status: problem.status, json: problem, contentType: 'application/problem+json' }));
    await shows(person, 'it is gone while somebody looks at it', has(person, /This page shows the copy that it received/));
    t.ok(await has(person, 'a secret')());
    problem = { status: 410, code: 'message-erased' };
    await shows(person, 'it was erased', has(person, /was erased/));
    t.ok(await hasNot(person, 'a secret')(), 'nothing of it is shown any more');
  });
  t.strictSame(person.faults, []);
});

await t.test('each topic has its rate, as a number and as a line', async (t) => {
  const person = await open(t, '#/topics');
  await person.fill('Topics that begin with', 'rate');
  const cell = person.page.locator('tbody td').last();
  await shows(person, 'its line', async () => {
    // Rates are of the last minute.
    await http.publish('rated', 'again');
    return await person.page.locator('tbody tr').count() === 1 && await cell.locator('polyline').count() === 1;
  });
  t.match(await cell.textContent(), /^(< )?\d/);
  await person.page.getByRole('link', { name: 'rated' }).click();
  await person.sees('messages a second in the last minute');
  t.strictSame(person.faults, []);
});

await t.test('the fleet has the last hour of each instance: charts, a table with the same figures, and warnings', async (t) => {
  const { instances } = await http.json<Instances>('/instances');
  const { url } = there;
  const own = (await (await fetch(`${url}/instances`)).json() as Instances).instances.find(({ streams: open }) => open >= 3)!;
  for (const look of LOOKS) {
    const person = await open(t, '#/publish', look);
    await person.forgiving(async () => {
      let isAway = true;
      await person.page.route('**/charts.js*', (route) => isAway ? route.abort() : route.continue());
      await person.goto('#/fleet');
      await shows(person, 'the charts are missing', has(person, /The charts could not be loaded; they are tried again/));
      isAway = false;
      await shows(person, 'there are charts', async () => await person.page.locator('.chart canvas').count() === 6);
    });
    t.ok(await hasNot(person, /could not be loaded/)());
    await person.page.getByText('These figures as a table').click();
    await shows(person, 'the streams are in the figures', async () => (await person.texts('tbody tr')).some((text) => text.startsWith(`Streams${own.id}3`)));
    const rows = await person.texts('tbody tr');
    for (const title of ['Streams', 'Publishes a second', 'Deliveries a second', 'Lag, in messages', 'Event loop delay, p99, ms', 'Memory']) for (const { id } of instances) t.ok(rows.some((row) => row.startsWith(title + id)), `${title} of ${id}`);
    t.match(await person.page.locator('.chart-box').first().getAttribute('aria-label'), new RegExp(`^Streams: .*${own.id} now 3, between \\d and \\d+`));
    await person.page.locator('select').selectOption(own.id);
    await shows(person, 'one instance is chosen', async () => (await person.texts('table')).length > 0 && !(await person.texts('tbody tr')).some((text) => text.startsWith(`Streams${instances.find(({ id }) => id !== own.id)!.id}`)));
    t.strictSame(await person.looksWrong(), [], `${look.width} ${look.scheme}`);
    t.strictSame(person.faults, []);
  }
});

await t.test('while Redis is away the page says which values it cannot know, and goes on by itself', async (t) => {
  const id = await http.publish('outage', 'x');
  const [fleet, message] = [await open(t, '#/fleet'), await open(t, `#/messages/${id}`)];
  const { instances } = await http.json<Instances>('/instances');
  for (const { id: instance } of instances) await shows(fleet, `${instance} is there`, async () => (await fleet.texts('.card')).some((text) => text.includes(instance)));
  await shows(message, 'all is known', hasNot(message, /Some instances did not answer/));
  // An instance that cannot be reached is asked for all the same: 503.
  await fleet.forgiving(async () => {
    await redis.stop();
    await shows(fleet, 'the fleet says so', has(fleet, /Redis is away for/));
    await shows(message, 'more is not known', has(message, /Some instances did not answer/));
    const { warnings: [warning] } = await http.json<{ warnings: { message: string }[] }>(`/instances/${(await http.json<Instances>('/instances')).instances[0]!.id}`);
    await shows(fleet, 'the warning is there, in words', has(fleet, warning!.message));
    t.match(await fleet.page.getByRole('row').filter({ hasText: warning!.message }).first().textContent(), /\d\d:\d\d:\d\dwarn/, 'with its time');
    await redis.start();
    await shows(fleet, 'all is well', hasNot(fleet, /Redis is away for/));
    await shows(fleet, 'both instances are there', async () => (await fleet.texts('.card')).length === 2);
    await shows(message, 'all is known again', hasNot(message, /Some instances did not answer/));
  });
  for (const person of [fleet, message]) t.strictSame(person.faults, []);
});

await t.test('across a restart of the service each view goes on by itself, and says of what time it is', async (t) => {
  const id = await http.publish('lasting', 'still here');
  const views: readonly (readonly [hash: string, sign: string])[] = [['#/fleet', 'The last hour'], [`#/messages/${id}`, 'still here']];
  const people: (readonly [Person, string])[] = [];
  for (const [hash, sign] of views) people.push([await open(t, hash), sign]);
  for (const [person, sign] of people) await shows(person, sign, has(person, sign));
  const [fleet] = people[0]!;
  await shows(fleet, 'there are charts', async () => await fleet.page.locator('.chart canvas').count() === 6);
  const late = await open(t, '#/publish');
  await late.sees('good JSON');
  const all = [...people.map(([person]) => person), late];
  const during = async (): Promise<void> => {
    here.kill('SIGSTOP');
    await shows(fleet, 'it stands still', has(fleet, /The service takes long to answer\. What is shown was so at/));
    here.kill('SIGCONT');
    await shows(fleet, 'it has answered', hasNot(fleet, /takes long to answer/));
    here.kill('SIGKILL');
    await here.exited;
    for (const [person, sign] of people) {
      await shows(person, 'it is away', has(person, /cannot be reached/));
      t.ok(await has(person, /What is shown was so at \d\d:\d\d:\d\d/)(), 'the page says of what time it is');
      t.ok(await has(person, sign)(), 'what was known is shown');
    }
    t.equal(await fleet.page.locator('.chart canvas').count(), 6);
    await late.goto('#/topics/lasting');
    await late.sees(/cannot be reached/);
    await here.restart();
    for (const [person] of people) await shows(person, 'it goes on', hasNot(person, /cannot be reached|What is shown was so at/));
    await shows(late, 'what was asked once is asked again', has(late, 'still here'));
    await shows(late, 'nothing is missing', hasNot(late, /cannot be reached/));
  };
  // Each of them may see requests fail.
  await all.reduce<() => Promise<void>>((act, person) => () => person.forgiving(act), during)();
  await shows(fleet, 'the one that has ended is still in the charts', has(fleet, /not heard any more/));
  for (const person of all) t.strictSame(person.faults, []);
});
