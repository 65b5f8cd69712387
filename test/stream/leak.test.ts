import { connect, type Socket } from 'node:net';
import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { leftBy, PROBED } from '../support/remains.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

const WAVE = 500;
/** Until what a stream needs is compiled and optimised, for the most part. */
const FIRST_WAVES = 3;
const WAVES = rounds(8, 24);
/** More than kernels take for a client that does not read. */
const BIG_MESSAGES = 80;
const BIG_BYTES = 128 * 1024;
/** What may be left of a visit: less than any object. Bytes. */
const SLACK = 40;

/** How a client comes and goes. `leaves` is called with what has come so far, whenever something comes. */
interface Kind {
  readonly path: (index: number, oldest: string) => string;
  readonly reads: boolean;
  readonly leaves: (text: string) => boolean;
}

const opened = (text: string): boolean => text.includes('event: $open');

const KINDS: readonly Kind[] = [
  { path: (index) => `/topics/one.${index}/events`, reads: true, leaves: opened },
  { path: (index) => `/topics/one.*.${index}.%3E/events`, reads: true, leaves: opened },
  { path: (index) => `/events?topic=many.${index}&topic=many.${index}.%3E&topic=*.${index}`, reads: true, leaves: opened },
  // In the middle of a replay.
  { path: (_, oldest) => `/topics/big/events?after=${oldest}`, reads: true, leaves: (text) => text.length > BIG_BYTES },
  // While the log is read for it, or before it is even asked.
  { path: (index, oldest) => `/events?topic=big&topic=one.${index}&after=${oldest}`, reads: true, leaves: (text) => text.includes('200 OK') },
  // A cursor that is not of this log, and one with a `$gap` that nobody wants.
  { path: (index) => `/topics/one.${index}/events?control=0&after=zzzzzzzzzz-${index}`, reads: true, leaves: (text) => text.includes(': gap') },
  // A long poll, given up.
  { path: (index) => `/topics/poll.${index}/messages?wait=50`, reads: true, leaves: () => true },
];
/** Takes nothing, until its stream is blocked. */
const BLOCKED: Kind = { path: (_, oldest) => `/topics/big/events?after=${oldest}`, reads: false, leaves: () => false };
/** Of each wave. Each holds some megabytes of the kernel's. */
const BLOCKED_SHARE = 4;

t.test('thousands of streams that came and went in every way leave nothing behind', async (t) => {
  const instance = await startInstance(t, { ...PROBED, TAIL_BYTES: '16KiB' });
  const http = new Http(t, instance.url, 4);
  const [oldest] = await http.batch(Array.from({ length: 50 }, () => ({ topic: 'other', data: 'x' })));
  for (let index = 0; index < BIG_MESSAGES; index++) await http.publish('big', 'x'.repeat(BIG_BYTES));

  /** Resolves when it has left, or right away if it never leaves by itself. */
  function visit(kind: Kind, index: number): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(instance.port, '127.0.0.1', () => {
        socket.write(`GET ${kind.path(index, oldest!)} HTTP/1.1\r\nHost: localhost\r\nAccept: ${kind.path(index, '').includes('/events') ? 'text/event-stream' : '*/*'}\r\n\r\n`, () => {
          // Nothing comes for a long poll: it has to be given up unasked.
          if (!kind.reads) resolve(socket.pause());
          else if (kind.leaves('')) setImmediate(() => socket.destroy());
        });
      });
      let text = '';
      t.teardown(() => socket.destroy());
      socket.on('error', reject);
      socket.on('close', () => resolve(socket));
      if (!kind.reads) return;
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        if (kind.leaves(text)) socket.destroy();
      });
    });
  }

  // Stays, so that the group which most of them join and leave stays too.
  const keeper = await openStream(t, `${instance.url}/topics/big/events`);
  await keeper.next();
  let visits = 0;
  async function wave(): Promise<void> {
    const blocked = await Promise.all(Array.from({ length: BLOCKED_SHARE }, () => visit(BLOCKED, visits++)));
    await Promise.all(Array.from({ length: WAVE - BLOCKED_SHARE }, (_, index) => visit(KINDS[index % KINDS.length]!, visits++)));
    // Those alone are left, each of them behind.
    await until('the others are gone', async () => await http.metric('streams') === BLOCKED_SHARE + 1);
    await until('those are behind', async () => await http.metric('readers_behind') === BLOCKED_SHARE);
    for (const socket of blocked) socket.destroy();
    await until('all are gone', async () => await http.metric('streams') === 1);
  }

  for (let count = 0; count < FIRST_WAVES; count++) await wave();
  // A live message passes by: groups that wait for the next flush go with it.
  await http.publish('other', 'x');
  const descriptors = await fileDescriptors(http);
  const { more, grown, last } = await leftBy(instance, async () => {
    for (let count = 0; count < WAVES; count++) await wave();
    await http.publish('other', 'x');
  }, SLACK * WAVE * WAVES);

  const metrics = await http.metrics();
  const opened = metrics.get('tidings_streams_opened_total')!;
  t.equal(opened, metrics.get('tidings_streams_closed_total')! + 1);
  t.ok(opened > 0.8 * visits, `of ${visits} visits ${opened} became streams`);
  t.same([last.objects.Reader, last.objects.Group], [1, 1], 'no index holds any but the one that is open');
  t.same(more, [], 'nothing is left that was not there before');
  await until('its files are closed', async () => await fileDescriptors(http) <= descriptors);
  t.ok(grown < SLACK * WAVE * WAVES, `memory grew by ${grown} bytes in ${WAVE * WAVES} visits`);
  t.comment(`memory grew by ${grown} bytes in ${WAVE * WAVES} visits; ${JSON.stringify(last)}`);
});

async function fileDescriptors(http: Http): Promise<number> {
  return (await http.metrics()).get('process_open_fds')!;
}
