import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { connectionsThatFit, streamsThatFit } from '../../src/config/file-limit.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { recordingLogger } from '../support/logger.ts';

const LIMITS = (files: string): string => `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             5                    5                    processes \nMax open files            ${files} files     \n`;

/** More than Node itself, the database and a few requests need. */
const OPEN_FILES = 200;
const REFUSED_STREAMS = 20;
const IDLE_MORE = 50;

t.test('who may open few files takes fewer streams, says so, and goes on taking everything else', async (t) => {
  const instance = await startInstance(t, { MAX_STREAMS: '1000' }, { by: ['prlimit', `--nofile=${OPEN_FILES}:${OPEN_FILES}`] });
  await instance.says('"msg":"MAX_STREAMS is 1000, but the system lets this process open 200 files only, so it takes 100 streams at most: raise \\"ulimit -n\\" to 2000, or lower MAX_STREAMS"');
  for (let count = 0; count < OPEN_FILES / 2; count++) t.equal((await (await openStream(t, `${instance.url}/topics/a/events`)).next()).event, '$open');
  // A connection that was told so stays open for a moment.
  for (let count = 0; count < REFUSED_STREAMS; count++) t.equal((await (await openStream(t, `${instance.url}/topics/a/events`)).next()).event, '$busy');
  const http = new Http(t, instance.url);
  await http.publish('a', 'x');
  t.equal(await http.metric('streams'), OPEN_FILES / 2);
});

t.test('who holds idle connections open keeps nobody out', async (t) => {
  for (const HTTP_FAST_PATH of ['on', 'off']) {
    const instance = await startInstance(t, { HTTP_FAST_PATH }, { by: ['prlimit', `--nofile=${OPEN_FILES}:${OPEN_FILES}`] });
    const stream = await openStream(t, `${instance.url}/topics/a/events`);
    await stream.next();
    const idle: Socket[] = [];
    t.teardown(() => idle.forEach((socket) => socket.destroy()));
    for (let count = 0; count < OPEN_FILES + IDLE_MORE; count++) {
      const socket = connect(instance.port, '127.0.0.1');
      socket.on('error', () => undefined);
      idle.push(socket);
      await once(socket, 'connect');
      // Each has had its answer, and is kept.
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')]) as [unknown];
      if (!String(answer).startsWith('HTTP/1.1 200 ')) throw new Error(`connection ${count} was not served: ${String(answer)}`);
    }
    t.equal((await new Http(t, instance.url).post('a', 'x')).status, 201, 'the log can be written');
    t.equal((await stream.next()).data, 'x', 'streams are not idle');
    t.notMatch(instance.output, /EMFILE/);
  }
});

t.test('connections leave the files that the process itself needs', (t) => {
  for (const [wanted, pgConnections, files, fit] of [[5000, 0, '65536', 5000], [5000, 0, '4096', 4032], [5000, 10, '4096', 4022], [5000, 0, '100', 50], [5000, 0, 'unlimited', 5000]] as const) {
    t.equal(connectionsThatFit(wanted, pgConnections, LIMITS(`${files}                 ${files}`)), fit);
  }
  t.equal(connectionsThatFit(5000, 0, ''), 5000);
  t.end();
});

t.test('where there are enough, or no bound, or nothing is known, it takes as many as it was told, and nothing is said', async (t) => {
  const { logger, lines } = recordingLogger();
  for (const limits of [LIMITS('1100                 1100'), LIMITS('unlimited            unlimited'), '']) t.equal(streamsThatFit(100, logger, limits), 100);
  t.same(lines, []);
  t.equal(streamsThatFit(5000, logger, LIMITS('4096                 1048576')), 3096, 'the soft limit is the one that holds');
  t.equal(lines.length, 1);
});
