import { connect, type Socket } from 'node:net';
import t from 'tap';
import { each, Http, type Answer } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { RawConnection, requestBytes } from '../support/raw.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/**
 * One client that takes all it can, and a well-behaved one beside it, which must not notice. Both have the same address, as behind a load balancer that tells no other.
 */

const MIB = 1024 * 1024;
const JSON_TYPE = { 'Content-Type': 'application/json' };

/** A connection whose client reads nothing. */
async function deaf(t: Scope, { port }: Instance, bytes: Buffer): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
  t.teardown(() => socket.destroy());
  socket.pause();
  await new Promise<void>((sent) => void socket.write(bytes, () => sent()));
  return socket;
}

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });

function statuses(answers: readonly Answer[]): number[] {
  return [...new Set(answers.map(({ status }) => status))];
}

function batch(topic: string, count: number): string {
  return JSON.stringify(Array.from({ length: count }, () => ({ topic, data: 'x' })));
}

await t.test('batches that stop before their last byte keep nobody from publishing large messages', async (t) => {
  const http = new Http(t, instance.url);
  await Promise.all(Array.from({ length: 9 }, () => deaf(t, instance, requestBytes('POST', '/messages', JSON_TYPE, ' '.repeat(16 * MIB)).subarray(0, -1))));
  const answers: Answer[] = [];
  const publish = async (): Promise<void> => void answers.push(await http.post('large', Buffer.alloc(MIB / 2, 'x')));
  await until('all have arrived, and one made room', async () => {
    await publish();
    return answers.at(-1)!.status !== 201 || await http.metric('evicted_total{reason="bodies"}') > 0;
  });
  await each(20, 2, publish);
  answers.push(await http.send('POST', '/messages', JSON_TYPE, batch('batch', 1000)));
  t.same(statuses(answers), [201]);
});

await t.test('answers that nobody reads keep nobody from reading history', async (t) => {
  const http = new Http(t, instance.url);
  const before = await http.metric('requests_total{way="ordinary"}');
  await each(4, 4, () => http.publish('large', Buffer.alloc(MIB, 'x')));
  const page = requestBytes('GET', '/topics/large/messages');
  await Promise.all(Array.from({ length: 10 }, () => deaf(t, instance, Buffer.concat(Array<Buffer>(4).fill(page)))));
  await until('they were asked for', async () => await http.metric('requests_total{way="ordinary"}') >= before + 40);
  // Each holds as much as a newcomer asks for, and has not stood still yet.
  await until('they make room', async () => (await http.get('/topics/large/messages')).status === 200);
  const answers: Answer[] = [];
  for (let count = 0; count < 5; count++) answers.push(await http.get('/topics/large/messages'));
  t.same(statuses(answers), [200]);
  t.ok(await http.metric('evicted_total{reason="answers"}') > 0);
});

await t.test('batches on many connections leave room for single messages', async (t) => {
  const small = await startInstance(t, { LOG_LEVEL: 'warn', APPEND_QUEUE_MESSAGES: '1000' });
  const http = new Http(t, small.url);
  const greedy = new Http(t, small.url, 16);
  let isOver = false;
  const body = batch('batch', 200);
  let stored = 0;
  const flood = each(16, 16, async () => {
    while (!isOver) if ((await greedy.send('POST', '/messages', JSON_TYPE, body)).status === 201) stored++;
  });
  await until('they are at it', async () => await http.metric('publishes_refused_total{code="overloaded"}').catch(() => 0) > 3);
  const answers: Answer[] = [];
  await each(100, 4, async (index) => void answers.push(await http.post('single', String(index))));
  isOver = true;
  await flood;
  t.same(statuses(answers), [201]);
  t.ok(stored > 0, 'and the batches are stored where there is room');
});

await t.test('thousands of long polls on a few connections leave room for others, whose polls are taken and answered', async (t) => {
  const small = await startInstance(t, { LOG_LEVEL: 'warn', MAX_STREAMS: '300' });
  const http = new Http(t, small.url, 64);
  const poll = requestBytes('GET', '/topics/nothing/messages?wait=50');
  const greedy = await Promise.all(Array.from({ length: 16 }, () => RawConnection.open(t, small)));
  for (const connection of greedy) connection.send(Buffer.concat(Array<Buffer>(40).fill(poll)));
  await until('they wait', async () => await http.metric('long_polls') === 300);
  const polls = Array.from({ length: 20 }, () => http.get('/topics/news/messages?wait=50'));
  await until('they wait, too', async () => await http.metric('evicted_total{reason="long-polls"}') >= 20);
  await http.publish('news', 'x');
  const answers = await Promise.all(polls);
  t.same(statuses(answers), [200]);
  t.ok(answers.every(({ body }) => body.includes('"data":"x"')));
  // Polls that stood behind others on their connections may have taken places that are free again.
  const left = await http.metric('long_polls');
  t.ok(left >= 280 && left <= 300, `no more gave way than had to: ${left} are left`);
});

await t.test('polls of a quiet topic are all answered, though much was published elsewhere', async (t) => {
  const http = new Http(t, instance.url, 64);
  const { cursor } = await http.json<{ cursor: string }>('/topics/quiet/messages');
  const poll = requestBytes('GET', `/topics/quiet/messages?wait=50&after=${cursor}`);
  const many = await Promise.all(Array.from({ length: 15 }, () => RawConnection.open(t, instance)));
  for (const connection of many) connection.send(Buffer.concat(Array<Buffer>(100).fill(poll)));
  await until('they wait', async () => await http.metric('long_polls') === 1_500);
  const elsewhere = http.get('/topics/other/messages?wait=50');
  await each(11, 1, () => http.send('POST', '/messages', JSON_TYPE, batch('busy', 100)));
  // Some come back from the place where they were, too.
  for (const connection of many.slice(0, 12)) connection.send(Buffer.concat(Array<Buffer>(100).fill(poll)));
  await http.publish('quiet', 'x');
  await http.publish('other', 'x');
  t.equal((await elsewhere).status, 200);
  for (const [index, connection] of many.entries()) {
    const count = index < 12 ? 200 : 100;
    const answers = await connection.answered(count, ...Array<string>(count).fill('GET'));
    t.same([...new Set(answers.map(({ status }) => status))], [200]);
  }
});
