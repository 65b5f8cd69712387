import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { t } from 'tap';
import { PARSING_FACTOR } from '../../src/http/input/batch-turns.ts';
import { each, Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { peakResidentBytes } from '../support/memory.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/**
 * Sends what docs/deploy.md ("Memory") adds up, with small bounds, and looks at the most memory that the process ever held. Each part alone is several times the sum where it has no
 * bound. Seen to fail so: without the turns and the hold of batches, without the bound of filters, of unread writes, and of answers.
 */

const MIB = 1024 * 1024;
const MESSAGE_BYTES = 4 * MIB;
const BATCH_BYTES = 8 * MIB;
const TAIL_BYTES = 4 * MIB;
const QUEUE_BYTES = 16 * MIB;
const REQUEST_BYTES = 24 * MIB;
const ANSWER_BYTES = 24 * MIB;
const FILTER_BYTES = 8 * MIB;
const UNREAD_BYTES = 16 * MIB;

const SETTINGS = {
  MESSAGE_BYTES: String(MESSAGE_BYTES), BATCH_BYTES: String(BATCH_BYTES), TAIL_BYTES: String(TAIL_BYTES), APPEND_QUEUE_BYTES: String(QUEUE_BYTES),
  REQUEST_BYTES: String(REQUEST_BYTES), ANSWER_BYTES: String(ANSWER_BYTES), FILTER_BYTES: String(FILTER_BYTES), UNREAD_BYTES: String(UNREAD_BYTES),
  ANONYMOUS_STREAMS_LIMIT: 'off', STALL_SECONDS: '3600', LOG_LEVEL: 'warn',
};

/** What garbage takes until it is collected, as docs/deploy.md says. */
const GARBAGE_BYTES = 256 * MIB;

/** What an instance with these settings may take beyond what it takes when it has just started: the sum of docs/deploy.md. Bytes. */
const SUM_BYTES = GARBAGE_BYTES + TAIL_BYTES + 2 * REQUEST_BYTES + PARSING_FACTOR * (BATCH_BYTES + 4 * MIB) + QUEUE_BYTES + 4 * BATCH_BYTES
  + ANSWER_BYTES + 8 * (4 * MIB + MESSAGE_BYTES) + FILTER_BYTES + UNREAD_BYTES + MESSAGE_BYTES;

/** The connections of clients that mean harm. */
async function open(t: Scope, { port }: Instance): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Sends a request, and resolves with the beginning of its answer. */
async function ask(socket: Socket, head: string, body?: Buffer): Promise<string> {
  const answer = Promise.withResolvers<string>();
  socket.once('data', (chunk: Buffer) => answer.resolve(chunk.toString('latin1')));
  socket.once('close', () => answer.resolve(''));
  socket.write(`${head} HTTP/1.1\r\nHost: localhost\r\n${body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`}\r\n`);
  if (body !== undefined) socket.write(body);
  return answer.promise;
}

async function stays(t: Scope & { ok(value: boolean, message: string): boolean; comment(message: string): void }, instance: Instance, before: number, what: string): Promise<void> {
  const grown = peakResidentBytes(instance.pid) - before;
  t.comment(`${what}: it grew by ${Math.round(grown / MIB)} MiB at most, and ${Math.round(SUM_BYTES / MIB)} MiB are allowed`);
  t.ok(grown < SUM_BYTES, `${what}: it grew by ${Math.round(grown / MIB)} MiB`);
}

t.test('an instance takes no more memory than the sum of its bounds, whatever its clients send and leave', async (t) => {
  const instance = await startInstance(t, SETTINGS);
  const http = new Http(t, instance.url);
  await http.publish('a', 'warm');
  const before = peakResidentBytes(instance.pid);

  // Batches of as many bytes as are allowed, beyond Latin-1: their text takes two bytes for each character.
  const message = `{"topic":"batch","data":"€${'x'.repeat(7_000)}"}`;
  const batch = Buffer.from(`[${Array.from({ length: 1000 }, () => message).join(',')}]`);
  const statuses = new Map<string, number>();
  await each(rounds(120, 240), rounds(120, 240), async () => {
    const socket = await open(t, instance);
    const status = (await ask(socket, 'POST /messages', batch)).slice(9, 12);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    socket.destroy();
  });
  t.ok(statuses.has('201') && statuses.has('503'), `some are stored, and those that find no room are told so: ${JSON.stringify([...statuses])}`);
  await stays(t, instance, before, 'batches');

  // Streams with as many topics as are allowed, each as long as is allowed.
  const filters: Socket[] = [];
  let busy = 0;
  await each(rounds(1500, 3000), 8, async (index) => {
    const socket = await open(t, instance);
    const topics = Array.from({ length: 100 }, (_, topic) => `topic=${`${index}.${topic}.`.padEnd(245, 'x')}`);
    if ((await ask(socket, `GET /events?${topics.join('&')}`)).includes('$busy')) busy++;
    filters.push(socket);
  });
  t.ok(busy > 0, `${busy} streams find no room for their filters`);
  t.ok(await http.metric('filter_bytes') <= FILTER_BYTES);
  t.match(await ask(await open(t, instance), 'GET /events?topic=ordinary&topic=another'), /event: \$open/, 'and who asks for a topic or two is let in all the same');
  await stays(t, instance, before, 'filters');
  for (const socket of filters) socket.destroy();
  await until('their memory is given back', async () => await http.metric('filter_bytes') === 0);

  // Streams whose clients read nothing, each with a message of its own. What the kernel takes is not the process's.
  const unread = rounds(60, 120);
  const streams: Socket[] = [];
  for (let index = 0; index < unread; index++) {
    const socket = await open(t, instance);
    await ask(socket, `GET /events?topic=unread${index}`);
    streams.push(socket.pause());
  }
  for (let index = 0; index < unread; index++) {
    for (let count = 0; count < 3; count++) await http.publish(`unread${index}`, 'x'.repeat(MESSAGE_BYTES));
  }
  await until('some have given way', async () => await http.metric('streams_cut_total{reason="unread"}') > 0);
  t.ok(await http.metric('unread_bytes') <= UNREAD_BYTES);
  await stays(t, instance, before, 'unread streams');
  for (const socket of streams) socket.destroy();
  await until('their memory is given back', async () => await http.metric('unread_bytes') === 0);

  // Pages that their clients do not take.
  const pages: Socket[] = [];
  await each(rounds(150, 300), 8, async (index) => {
    const socket = await open(t, instance);
    pages.push(socket);
    await ask(socket.once('data', () => void socket.pause()), `GET /topics/unread${index % unread}/messages?limit=1`);
    socket.write('GET /messages?topic=unread*&topic=batch HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(2));
  });
  await stays(t, instance, before, 'pages');
  for (const socket of pages) socket.destroy();
  await until('they can be read again', async () => (await http.get('/topics/a/messages')).status === 200);
});
