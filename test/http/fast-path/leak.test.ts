import { connect } from 'node:net';
import t from 'tap';
import { each, Http } from '../../support/http.ts';
import { startInstance } from '../../support/instance.ts';
import { exchange, RawConnection, requestBytes } from '../../support/raw.ts';
import { leftBy, PROBED, remainsOf } from '../../support/remains.ts';
import { rounds } from '../../support/rounds.ts';
import { until } from '../../support/until.ts';

/** Of each kind, and what they may hold on the average: a message some 500 bytes, a stream some 3,500 (400 more on the ordinary path), but none of them the head of its request. */
const COUNT = 400;
const HEAD_BYTES = 7_000;
const EACH_MAX = 2_900;

t.test('a message or stream keeps nothing of its request but the parts it needs', async (t) => {
  const instance = await startInstance(t, { ...PROBED, LOG_LEVEL: 'warn' });
  const padding = 'x'.repeat(HEAD_BYTES);
  let names = 0;
  // V8 copies short names by itself.
  const name = (): string => `a.name.that.is.long.enough.${names++}`;

  async function publish(path: string, headers: Readonly<Record<string, string>>): Promise<void> {
    const { status } = await exchange(t, instance, requestBytes('POST', path, headers, 'x'));
    if (status !== 201) throw new Error(`${path.slice(0, 50)}: ${status}`);
  }
  async function open(path: string, headers: Readonly<Record<string, string>>): Promise<void> {
    const connection = await RawConnection.open(t, instance);
    connection.send(requestBytes('GET', path, headers));
    await connection.until('it is open', () => connection.text.includes('$open'));
  }

  const kinds = [
    () => open(`/topics/${name()}/events`, { Cookie: padding }),
    () => open(`/events?topic=${name()}&topic=${name()}.%3E`, { Cookie: padding }),
    () => publish(`/topics/${name()}?event=also.a.long.name.${names}`, { Cookie: padding }),
    // On the ordinary path.
    () => open(`/topics/${name()}/events`, { Cookie: padding, 'Proxy-Connection': 'keep-alive' }),
    () => publish(`/topics/${name()}?event=also.a.long.name.${names}&x=${padding}`, { 'Proxy-Connection': 'keep-alive' }),
  ];
  await each(COUNT, 20, (index) => kinds[index % kinds.length]!());
  const before = await remainsOf(instance);
  await each(COUNT * kinds.length, 20, (index) => kinds[index % kinds.length]!());
  const left = Math.round(((await remainsOf(instance)).bytes - before.bytes) / (COUNT * kinds.length));
  t.ok(left < EACH_MAX, `${left} bytes each`);
  t.equal(await new Http(t, instance.url).metric('unread_bytes'), 0, 'and what a stream began with is not counted as unread');
});

const PUBLISH = requestBytes('POST', '/topics/a.b', {}, 'Hello');
const STREAM = requestBytes('GET', '/topics/a.b/events', { Accept: 'text/event-stream' });
const ODD = requestBytes('GET', '/healthz');
/** On the ordinary path. */
const ORDINARY_STREAM = requestBytes('GET', '/topics/a.b/events', { Accept: 'text/event-stream', 'Proxy-Connection': 'keep-alive' });

/** What is sent in one go or in several, and how the client leaves: once so much has come, by itself or by closing its side. */
const VISITS: readonly (readonly [sent: readonly Buffer[], leaves: 'at once' | 'answered' | 'half-closed' | 'reset'])[] = [
  [[], 'at once'], [[], 'half-closed'], [[PUBLISH], 'at once'], [[PUBLISH], 'answered'], [[PUBLISH], 'half-closed'], [[PUBLISH], 'reset'],
  [[PUBLISH.subarray(0, 30)], 'at once'], [[PUBLISH.subarray(0, 30)], 'half-closed'], [[PUBLISH.subarray(0, 30)], 'reset'],
  [[PUBLISH, PUBLISH], 'answered'], [[PUBLISH, PUBLISH], 'reset'], [[PUBLISH, PUBLISH.subarray(0, 30)], 'half-closed'], [[PUBLISH, ODD], 'answered'], [[PUBLISH, ODD], 'reset'],
  [[ODD], 'answered'], [[ODD, PUBLISH], 'answered'], [[Buffer.concat([PUBLISH, PUBLISH, ODD])], 'half-closed'], [[Buffer.from('no HTTP\r\n\r\n')], 'answered'], [[PUBLISH, Buffer.from('no HTTP\r\n\r\n')], 'answered'],
  [[STREAM], 'at once'], [[STREAM], 'answered'], [[STREAM], 'half-closed'], [[STREAM], 'reset'], [[PUBLISH, STREAM], 'answered'], [[PUBLISH, STREAM], 'at once'], [[STREAM, PUBLISH], 'answered'], [[PUBLISH.subarray(0, 30), Buffer.concat([PUBLISH.subarray(30), STREAM])], 'reset'],
  [[ORDINARY_STREAM], 'at once'], [[ORDINARY_STREAM], 'answered'], [[ORDINARY_STREAM], 'half-closed'], [[ORDINARY_STREAM], 'reset'], [[ODD, ORDINARY_STREAM], 'answered'], [[Buffer.concat([ORDINARY_STREAM, PUBLISH, PUBLISH.subarray(0, 30)])], 'answered'],
  [[ODD, ODD, PUBLISH, ODD], 'answered'], [[ODD, PUBLISH, STREAM], 'reset'], [[ODD, ODD.subarray(0, 9)], 'half-closed'],
];
const WAVE = VISITS.length * 10;
/** Until what a connection needs is compiled and optimised, for the most part. */
const FIRST_WAVES = 3;
const WAVES = rounds(4, 8);
/** What may be left of a visit: less than any object. Bytes. */
const SLACK = 140;

t.test('thousands of connections that came and went in every way leave nothing behind', async (t) => {
  const instance = await startInstance(t, { ...PROBED, LOG_LEVEL: 'warn', TAIL_BYTES: '16KiB', MAX_STREAMS: '3' });
  const http = new Http(t, instance.url, 2);
  const descriptors = async (): Promise<number> => (await http.metrics()).get('process_open_fds')!;

  function visit(index: number): Promise<void> {
    const [sent, leaves] = VISITS[index % VISITS.length]!;
    return new Promise((resolve) => {
      const socket = connect({ port: instance.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }, () => {
        const next = (at: number): void => {
          if (at < sent.length) {
            socket.write(sent[at]!, () => setImmediate(next, at + 1));
            return;
          }
          if (leaves === 'at once') socket.destroy();
          else if (leaves === 'half-closed') socket.end();
          else if (leaves === 'reset') socket.resetAndDestroy();
        };
        next(0);
      });
      socket.on('error', () => undefined).on('close', () => resolve());
      socket.on('end', () => socket.end());
      socket.on('data', () => {
        if (leaves === 'answered') socket.destroy();
      });
    });
  }
  async function wave(): Promise<void> {
    await each(WAVE, 50, visit);
    await until('all are gone', async () => await http.metric('streams') === 0);
  }

  // A connection is closed here a little later than there.
  const settled = async (): Promise<number> => {
    let least = await descriptors();
    for (let look = 0; look < 20; look++) least = Math.min(least, await descriptors());
    return least;
  };

  for (let count = 0; count < FIRST_WAVES; count++) await wave();
  const open = await settled();
  const { more, grown } = await leftBy(instance, async () => {
    for (let count = 0; count < WAVES; count++) await wave();
    await until('its files are closed', async () => await descriptors() <= open);
  }, SLACK * WAVE * WAVES);
  t.same(more, []);
  t.ok(grown < SLACK * WAVE * WAVES, `memory grew by ${grown} bytes in ${WAVE * WAVES} visits`);
  t.comment(`memory grew by ${grown} bytes in ${WAVE * WAVES} visits`);
  t.ok(await http.metric('streams_busy_total') > 0 && await http.metric('streams_opened_total') > 0, 'some streams were opened, and some refused');
});
