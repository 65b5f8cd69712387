import t from 'tap';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { RawConnection, requestBytes } from '../support/raw.ts';
import { until } from '../support/until.ts';

/** History with `wait`: a request that is answered as soon as there is something. */

interface Page {
  readonly messages: readonly { readonly id: string; readonly data: unknown }[];
  readonly cursor: string;
  readonly more: boolean;
  readonly gap?: { readonly reason: string };
}

/** No answer that a message brings takes nearly so long; it is less than the 50 s that a request may wait. Milliseconds. */
const SOON = 25_000;

const [instance, small] = await Promise.all([startInstance(t, { LOG_LEVEL: 'warn' }), startInstance(t, { LOG_LEVEL: 'warn', MAX_STREAMS: '2', DRAIN_SECONDS: '2' })]);
const http = new Http(t, instance.url, 64);
const client = new Http(t, small.url);

/** A request that waits, on a connection of its own. It was read by the service when something that was sent later is answered. */
async function poll(path: string): Promise<{ connection: RawConnection; page: () => Promise<Page> }> {
  const connection = await RawConnection.open(t, instance);
  connection.send(requestBytes('GET', path));
  return { connection, page: async () => JSON.parse((await connection.answered(1, 'GET'))[0]!.body) as Page };
}

await t.test('a request that waits is answered when a message comes, from whichever connection', async (t) => {
  const began = performance.now();
  const { cursor } = await http.json<Page>('/topics/wait/messages');
  const waiting = await Promise.all([
    poll('/topics/wait/messages?wait=50'), poll('/topics/wait/messages?wait=50'), poll(`/topics/wait/messages?wait=50&after=${cursor}`), poll('/topics/wait/messages?wait=50&since=1m'),
    poll('/messages?topic=wait&topic=other&wait=50'), poll('/topics/*/messages?wait=50&limit=1'), poll('/topics/%3E/messages?wait=50&after=start'),
    ...Array.from({ length: 20 }, () => poll(`/topics/wait/messages?wait=50&after=${cursor}`)),
  ]);
  await http.publish('not.this', 'x');
  const id = await http.publish('wait', 'here');
  for (const [index, { page }] of waiting.entries()) {
    const { messages, more, gap } = await page();
    t.match(messages.at(-1), index === 6 ? {} : { id, data: 'here' }, `waiter ${index}`);
    t.strictSame([messages.length > 0, more && index !== 6, gap], [true, false, undefined]);
  }
  t.ok(performance.now() - began < SOON, 'long before the time was up');
});

await t.test('present messages are answered at once, with any wait', async (t) => {
  const began = performance.now();
  await http.publish('there', 'x');
  t.match(await http.json<Page>('/topics/there/messages?wait=50'), { messages: [{ data: 'x' }] });
  t.match(await http.json<Page>('/topics/there/messages?wait=50&after=abcdefgh-1'), { messages: [{ data: 'x' }], gap: { reason: 'unknown-log' } });
  t.match(await http.json<Page>('/topics/no.message/messages?wait=50&after=abcdefgh-1'), { messages: [], gap: { reason: 'unknown-log' } }, 'a gap is an answer too');
  t.ok(performance.now() - began < SOON);
});

await t.test('when the time is up, the page is empty and its cursor leads on', async (t) => {
  const began = performance.now();
  const waiting = http.json<Page>('/topics/late/messages?wait=1');
  await http.publish('something.else', 'x');
  const page = await waiting;
  t.ok(performance.now() - began >= 990);
  t.match(page, { messages: [], more: false, gap: undefined });
  const id = await http.publish('late', 'x');
  t.match(await http.json<Page>(`/topics/late/messages?wait=50&after=${page.cursor}`), { messages: [{ id }], cursor: id });
  t.match(await http.json<Page>('/topics/none/messages?wait=0'), { messages: [] });
});

await t.test('one poll after the other misses nothing and repeats nothing', async (t) => {
  const COUNT = 200;
  const publishing = (async () => {
    for (let index = 0; index < COUNT; index++) await http.publish(`chain.${index % 3}`, String(index));
  })();
  const came: unknown[] = [];
  for (let after = 'start'; came.length < COUNT;) {
    const page = await http.json<Page>(`/topics/chain.*/messages?wait=50&limit=7&after=${after}`);
    t.ok(page.messages.length >= 1 && page.messages.length <= 7);
    came.push(...page.messages.map(({ data }) => data));
    after = page.cursor;
  }
  await publishing;
  t.strictSame(came, Array.from({ length: COUNT }, (_, index) => String(index)));
});

await t.test('the number of waiting polls has a limit, and one that leaves makes room', async (t) => {
  const waiting = (): Promise<number> => client.metric('long_polls');
  const connections = [];
  for (let count = 0; count < 2; count++) {
    const connection = await RawConnection.open(t, small);
    connection.send(requestBytes('GET', `/topics/nothing.${count}/messages?wait=50`));
    connections.push(connection);
  }
  await until('both wait', async () => await waiting() === 2);
  const refused = await client.get('/topics/a/messages?wait=1');
  t.match([refused.headers['retry-after'], JSON.parse(refused.body)], [/^[1-9]$/, { status: 503, code: 'overloaded' }]);
  t.equal((await client.get('/topics/a/messages')).status, 200, 'whoever does not wait is not refused');
  await client.publish('a', 'x');
  t.equal((await client.get('/topics/a/messages?wait=50')).status, 200, 'nor is one whose message is there');
  connections[0]!.destroy();
  connections[1]!.end();
  await until('they have left', async () => await waiting() === 0);
  for (let count = 0; count < 10; count++) {
    const connection = await RawConnection.open(t, small);
    connection.send(requestBytes('GET', '/topics/gone/messages?wait=50'));
    connection.destroy();
  }
  await until('there is room again', async () => {
    const answers = await Promise.all([1, 2].map(() => client.get('/topics/nobody/messages?wait=1')));
    return answers.every(({ status }) => status === 200);
  });
  await until('nothing is left of those who left', async () => await waiting() === 0);
});

await t.test('a poll ends with the instance: it is answered when the drain begins', async (t) => {
  const connection = await RawConnection.open(t, small);
  connection.send(requestBytes('GET', '/topics/none/messages?wait=50'));
  await until('it waits', async () => await client.metric('long_polls') === 1);
  small.kill('SIGTERM');
  const [answer] = await connection.answered(1, 'GET');
  t.match(answer, { status: 200, headers: { connection: 'close' } });
  t.match(JSON.parse(answer!.body), { messages: [], more: false });
  t.strictSame(await small.exited, { code: 0, signal: null });
});
