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
 * Sends what docs/capacity.md ("Memory") adds up, with small bounds, and looks at the most memory that the process ever held. Each part alone is several times the sum where it has no
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

/** Streams that are not read, and what each of them is sent several times. */
const UNREAD_STREAMS = rounds(16, 60);
const LARGE = 'x'.repeat(MESSAGE_BYTES);

/** What garbage takes until it is collected, as docs/capacity.md says. */
const GARBAGE_BYTES = 400 * MIB;

/** What an instance with these settings may take beyond what it takes when it has just started: the sum of docs/capacity.md. Bytes. */
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

t.test('an instance takes no more memory than the sum of its bounds, with any clients', async (t) => {
  const instance = await startInstance(t, SETTINGS);
  const http = new Http(t, instance.url);
  await http.publish('a', 'warm');
  const before = peakResidentBytes(instance.pid);
  const stays = (what: string): void => {
    const grown = peakResidentBytes(instance.pid) - before;
    t.comment(`with ${what} it grew by ${Math.round(grown / MIB)} MiB, of ${Math.round(SUM_BYTES / MIB)} at ${Math.round(performance.now() - began)} ms`);
    t.ok(grown < SUM_BYTES, `with ${what}: ${Math.round(grown / MIB)} MiB`);
  };
  const began = performance.now();

  // Each part stays while the next one comes. Streams with as many topics as are allowed, each as long as is allowed:
  let busy = 0;
  await each(rounds(1500, 3000), 8, async (index) => {
    const topics = Array.from({ length: 100 }, (_, topic) => `topic=${`${index}.${topic}.`.padEnd(245, 'x')}`);
    if ((await ask(await open(t, instance), `GET /events?${topics.join('&')}`)).includes('$busy')) busy++;
  });
  t.ok(busy > 0, `${busy} streams find no room for their filters`);
  t.ok(await http.metric('filter_bytes') <= FILTER_BYTES);
  t.match(await ask(await open(t, instance), 'GET /events?topic=ordinary&topic=another'), /event: \$open/, 'and who asks for a topic or two is let in all the same');
  stays('filters');

  // Streams whose clients read nothing, each with a message of its own. What the kernel takes is not the process's.
  for (let index = 0; index < UNREAD_STREAMS; index++) {
    const socket = await open(t, instance);
    await ask(socket, `GET /events?topic=unread${index}`);
    socket.pause();
  }
  await each(3 * UNREAD_STREAMS, 2, async (index) => void await http.publish(`unread${index % UNREAD_STREAMS}`, LARGE));
  await until('some have given way', async () => await http.metric('streams_cut_total{reason="unread"}') > 0);
  t.ok(await http.metric('unread_bytes') <= UNREAD_BYTES);
  stays('unread streams');

  // Pages that their clients do not take.
  const pages: Socket[] = [];
  await each(rounds(100, 300), 8, async (index) => {
    const socket = await open(t, instance);
    pages.push(socket);
    const page = `GET /topics/unread${index % UNREAD_STREAMS}/messages?limit=1`;
    await ask(socket.once('data', () => void socket.pause()), page);
    socket.write(`${page} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(2));
  });
  stays('pages');

  // Batches of as many bytes as are allowed, beyond Latin-1: their text takes two bytes for each character.
  const message = `{"topic":"batch","data":"€${'x'.repeat(8_200)}"}`;
  const batch = Buffer.from(`[${Array.from({ length: 1000 }, () => message).join(',')}]`);
  const statuses = new Map<string, number>();
  const send = async (): Promise<void> => {
    const socket = await open(t, instance);
    const status = (await ask(socket, 'POST /messages', batch)).slice(9, 12);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    socket.destroy();
  };
  await each(rounds(80, 240), rounds(80, 240), send);
  t.ok(statuses.has('503'), `those that find no room are told so: ${JSON.stringify([...statuses])}`);
  stays('batches');

  for (const socket of pages) socket.destroy();
  await until('there is room for answers again', async () => (await http.get('/topics/a/messages')).status === 200);
  statuses.clear();
  await send();
  t.ok(statuses.has('201'), 'and for batches');
});
