import { get, type IncomingMessage } from 'node:http';
import { t } from 'tap';
import { ROOT, accessFile } from '../support/access-state.ts';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { LOOKS, Person } from './support/person.ts';

/** The other views of the page, each used as a person would, in Chromium, against the service; and how all of them look. */

const [instance, guarded, browser] = await Promise.all([
  startInstance(t, { LOG_LEVEL: 'error', HEARTBEAT_SECONDS: '1' }),
  startInstance(t, { ACCESS_FILE: accessFile(t, ['>']), AUTH_COOKIE: 'session', LOG_LEVEL: 'error', DRAIN_SECONDS: '0' }),
  startBrowser(t),
]);
const http = new Http(t, instance.url);
const keeper = new Http(t, guarded.url);

/** A stream of somebody else. */
function listen(t: Scope, path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(`${instance.url}${path}`, { headers, agent: false }, (answer) => {
      answer.on('error', () => undefined);
      answer.resume();
      resolve(answer);
    }).on('error', reject);
    t.teardown(() => request.destroy());
  });
}

const row = '.row-message';

await t.test('topics: sorted, searched, their history page by page, and who listens', async (t) => {
  await http.batch(Array.from({ length: 120 }, (_none, number) => ({ topic: 'paged', data: number + 1 })));
  await listen(t, '/topics/paged/events?as=alice');
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/topics');
  await person.fill('Topics that begin with', 'pag');
  await until('one is left', async () => (await person.texts('tbody tr')).length === 1);
  const { topics: [told] } = await http.json<{ topics: { messages: number; more?: true; streams: number }[] }>('/topics?prefix=pag');
  const cells = await person.texts('tbody td');
  t.strictSame([cells[0], cells[2], cells[4]], ['paged', `${told!.messages}+`, String(told!.streams)]);
  t.strictSame([told!.messages, told!.more, told!.streams], [100, true, 1], 'it counts a hundred, and says that there are more');
  await person.page.getByRole('link', { name: 'paged' }).click();
  await person.sees('The newest 50 messages');
  t.match(await person.texts('.history .row-text'), Array.from({ length: 50 }, (_none, place) => String(120 - place)));
  await person.press('From the oldest');
  await person.sees('50 messages, oldest first');
  await person.press('Next page');
  await until('the second page', async () => (await person.texts('.history .row-text'))[0] === '51');
  await person.press('Next page');
  await person.sees('20 messages, oldest first');
  t.match(await person.texts('.history .row-text'), Array.from({ length: 20 }, (_none, place) => String(101 + place)));
  t.match((await person.texts('table'))[0], /alice/);
  await person.page.getByRole('link', { name: 'Its feed' }).click();
  await until('its feed', async () => (await person.texts(row)).length === 20);
  t.strictSame(person.faults, []);
});

await t.test('streams: they are listed, filtered, and one is closed', async (t) => {
  const stream = await listen(t, '/topics/closed/events?as=bob', { 'user-agent': 'a test/1' });
  const ended = new Promise((resolve) => void stream.once('close', resolve));
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/streams?topic=closed');
  await person.sees('bob');
  t.match((await person.texts('tbody tr'))[0], /bob.*closed.*live.*a test\/1/s);
  await person.press(/^Close stream/);
  await person.press('Close the stream');
  await ended;
  await person.sees(/is closed\./);
  await person.sees('No stream matches');
  t.strictSame(person.faults, []);
});

await t.test('every view, in both schemes and widths: nothing sticks out, and nobody is kept out', async (t) => {
  for (const look of LOOKS) {
    const person = await Person.open(t, browser, instance.url, look);
    for (const [hash, sign] of [['', 'live'], ['#/publish', 'Publish'], ['#/topics', 'paged'], ['#/topics/paged', 'Who listens'], ['#/streams', 'Only behind'], ['#/fleet', 'Publishes a second'], ['#/keys', 'Keys are made by an administrator'], ['#/webhooks', 'Webhooks are made by an administrator'], ['#/connectors', 'Connectors are shown to an administrator'], ['#/doctor', 'Nobody else has this topic.'], ['#/api', 'Publish a message'], ['#/nothing', 'There is no such view']] as const) {
      await person.goto(hash);
      await person.page.locator('main').getByText(sign).first().waitFor();
      t.strictSame(await person.looksWrong(), [], `${hash} ${look.width} ${look.scheme}`);
      const place = hash === '#/nothing' ? null : await person.page.locator('nav [aria-current]').boundingBox();
      t.ok(hash === '#/nothing' || (place !== null && place.x >= 0 && place.x + place.width <= look.width), `${hash}: the bar shows where one is`);
    }
    if (look.width < 500) {
      await person.goto('');
      await person.page.locator('.publish').waitFor();
      const box = async (selector: string) => (await person.page.locator(selector).last().boundingBox())!;
      const last = await box('nav a');
      t.ok(last.x >= 0 && last.x + last.width <= look.width, 'the bar of views is not cut off');
      t.ok((await box('.feed')).y < (await box('.publish')).y, 'messages come before the form');
    }
    t.strictSame(person.faults, []);
    await person.leave();
  }
});

await t.test('the fleet: an instance is seen as it is, and drained', async (t) => {
  const person = await Person.open(t, browser, guarded.url);
  await person.goto('#/fleet');
  await person.fill('Key or token', ROOT.text);
  await person.press('Sign in');
  const { instances: [told] } = JSON.parse((await keeper.get('/instances', bearer(ROOT.text))).body) as { instances: { id: string; version: string }[] };
  await person.sees(told!.id);
  t.match((await person.texts('.card'))[0], new RegExp(`${told!.id}ready.*version ${told!.version}`, 's'));
  await person.press('Drain');
  await person.forgiving(async () => {
    await person.press('Drain it');
    t.equal((await guarded.exited).code, 0);
    await person.sees(/cannot be reached/);
    t.strictSame(person.faults, []);
  });
});
