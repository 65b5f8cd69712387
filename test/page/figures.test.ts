import { get, type IncomingMessage } from 'node:http';
import { t } from 'tap';
import { TOPIC_FACTOR } from '../../src/store/row-bytes.ts';
import { SQLITE_ROW_OVERHEAD_BYTES } from '../../src/store/sqlite/files/log-state.ts';
import { startBrowser } from '../support/browser.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { Person } from './support/person.ts';

/** The figures that the page shows, beside what publishers and clients counted themselves. In Chromium, against a service that nobody else uses. */

const [instance, browser] = await Promise.all([startInstance(t, { LOG_LEVEL: 'error' }), startBrowser(t)]);
const http = new Http(t, instance.url);

/** Rates are shown with one digit after the point, and some were rounded so before. */
const ROUNDING = 0.1;

/** What publishers sent: for each topic how many messages, and how many bytes of data. */
const sent = new Map<string, { messages: number; bytes: number }>();

async function publish(topic: string, texts: readonly string[]): Promise<void> {
  await http.batch(texts.map((data) => ({ topic, data })));
  const { messages, bytes } = sent.get(topic) ?? { messages: 0, bytes: 0 };
  sent.set(topic, { messages: messages + texts.length, bytes: bytes + texts.reduce((sum, text) => sum + Buffer.byteLength(JSON.stringify(text)), 0) });
}

/** A client that counts what it gets. */
interface Client {
  readonly answer: IncomingMessage;
  events: number;
}

function listen(t: Scope, path: string): Promise<Client> {
  return new Promise((resolve, reject) => {
    const request = get(`${instance.url}${path}`, { agent: false }, (answer) => {
      const client: Client = { answer, events: 0 };
      answer.on('error', () => undefined);
      answer.setEncoding('utf8').on('data', (text: string) => {
        client.events += text.match(/^data: "count/gm)?.length ?? 0;
      });
      resolve(client);
    }).on('error', reject);
    t.teardown(() => request.destroy());
  });
}

/** The cells of a table by the name in its first column, of one moment: the page may draw it anew. */
async function cells(person: Person, table: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await person.page.evaluate<string[][]>(`[...document.querySelectorAll('table')].filter(({ caption }) => caption?.textContent === ${JSON.stringify(table)})
    .flatMap(({ tBodies }) => [...tBodies[0].rows].map(({ cells }) => [...cells].map(({ textContent }) => textContent)))`);
  return new Map(rows.map((row) => [row[0]!, row]));
}

/** As the page writes fewer bytes than a MiB. */
function shownBytes(bytes: number): string {
  return bytes < 1_024 ? `${bytes} B` : `${Math.round(bytes / 1_024 * 10) / 10} KiB`;
}

/** The number in a text such as `1,234.5`. */
function numberIn(text: string | undefined): number {
  return Number(text?.replaceAll(',', ''));
}

await t.test('the feed counts what publishers sent, each message once', async (t) => {
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/feed?topics=a.*+b.>&from=now');
  await until('it is live', async () => (await person.texts('.feed .chip'))[0] === 'live');
  await publish('a.one', Array.from({ length: 7 }, (_none, number) => `count ${number}`));
  await publish('b.two.three', Array.from({ length: 999 }, (_none, number) => `count ${number}`));
  await publish('other', ['not for this feed']);
  // It matches one of its patterns, and its end shows that all before it have come.
  await publish('a.last', ['count last']);
  await person.sees('count last');
  t.equal((await person.texts('.counts'))[0], '1,007 messages');
  t.strictSame(person.faults, []);
  await person.leave();
});

await t.test('topics: messages and bytes as publishers sent them, streams and members as clients opened them', async (t) => {
  await publish('bytes', ['ä', 'count', 'x'.repeat(300)]);
  const clients = await Promise.all(['/topics/bytes/events?as=alice', '/topics/bytes/events?as=alice', '/topics/bytes/events?as=bob', '/topics/bytes/events', '/topics/a.one/events', '/topics/a.*/events'].map((path) => listen(t, path)));
  await until('only these streams are open', async () => (await http.json<{ streams: unknown[] }>('/streams')).streams.length === 6);
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/topics');
  await until('all topics are there', async () => (await cells(person, 'Topics')).size === sent.size);
  const rows = await cells(person, 'Topics');
  // It counts up to a hundred messages of a topic, and says that there are more.
  for (const [topic, { messages }] of sent) t.equal(rows.get(topic)![2], messages > 100 ? '100+' : String(messages), topic);
  const { messages, bytes } = sent.get('bytes')!;
  const stored = bytes + messages * (TOPIC_FACTOR * 'bytes'.length + SQLITE_ROW_OVERHEAD_BYTES);
  t.equal(rows.get('bytes')![3], shownBytes(stored));
  t.strictSame(['bytes', 'a.one', 'a.last', 'other'].map((topic) => rows.get(topic)![4]), ['4', '2', '1', '0'], 'by its name and by patterns');

  await person.goto('#/topics/a.one');
  await person.sees('2 streams get its messages, by its name or by a pattern.');
  await person.goto('#/topics/bytes');
  await person.sees('4 streams get its messages, by its name or by a pattern. 2 members of the 4 streams that name it:');
  const members = await cells(person, 'Members');
  t.strictSame([members.get('alice')![1], members.get('bob')![1]], ['2', '1']);
  await person.sees('The newest 3 messages');

  await person.goto('#/streams?topic=bytes');
  await until('the streams are there', async () => await person.page.getByRole('table', { name: 'Streams' }).locator('tbody tr').count() === 4);
  t.strictSame((await person.texts('tbody td[data-label="Who"]')).map((text) => text.replace('127.0.0.1', '')).toSorted(), ['alice', 'alice', 'bob', 'nobody in particular']);
  // A heartbeat may come in between: the list is asked for again every few seconds.
  await until('the service has written what clients have read', async () => {
    const read = clients.slice(0, 4).map(({ answer }) => shownBytes(answer.socket.bytesRead)).toSorted();
    return (await person.texts('tbody td[data-label="Sent"]')).toSorted().join() === read.join();
  });

  await person.goto('#/fleet');
  await person.sees('Publishes a second');
  await until('the fleet has all of them', async () => await figure(person, 'Streams') === 6);
  t.strictSame(person.faults, []);
  await person.leave();
});

/** A figure of the one instance. */
async function figure(person: Person, title: string): Promise<number> {
  return numberIn((await person.page.locator('.card dl > div').filter({ hasText: new RegExp(`^${title}`) }).locator('dd').allTextContents())[0]);
}

await t.test('rates: what clients got is to what publishers sent as the page says, and two topics are to each other as well', async (t) => {
  const clients = await Promise.all([1, 2, 3].map(() => listen(t, '/topics/load/events')));
  const person = await Person.open(t, browser, instance.url);
  await person.goto('#/fleet');
  await person.sees('Publishes a second');
  let batches = 0;
  // Rates are of the last ten seconds: a message goes out of them, and a machine may stand still. So it is looked at again after more of them.
  await until('three clients get three times what is published', async () => {
    await publish('load', Array.from({ length: 300 }, (_none, number) => `count ${number}`));
    batches++;
    await until('clients have all of them', () => clients.every(({ events }) => events === batches * 300));
    const [publishes, deliveries] = [await figure(person, 'Publishes a second'), await figure(person, 'Deliveries a second')];
    return publishes > 1 && Math.abs(deliveries - 3 * publishes) <= ROUNDING * (1 + 3);
  });
  t.equal(clients.reduce((sum, { events }) => sum + events, 0), 3 * sent.get('load')!.messages, 'each client got each message once');

  // They are of the last minute, and of both topics in the same one.
  await publish('slow', Array.from({ length: 400 }, () => 'x'));
  await publish('fast', Array.from({ length: 900 }, () => 'x'));
  await person.goto('#/topics');
  await person.page.getByRole('combobox', { name: 'Sort' }).selectOption('rate');
  await person.page.getByRole('columnheader', { name: 'Messages a second' }).waitFor();
  await until('both topics are there', async () => (await cells(person, 'Topics')).has('fast'));
  const rows = await cells(person, 'Topics');
  const [slow, fast] = ['slow', 'fast'].map((topic) => numberIn(rows.get(topic)!.at(-1)));
  t.ok(slow! > 0 && Math.abs(fast! - slow! * 900 / 400) <= ROUNDING * (1 + 900 / 400), `${fast} to ${slow} is as 9 to 4`);
  t.strictSame(person.faults, []);
});
