import t from 'tap';
import { streamsThatFit } from '../../src/config/file-limit.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { recordingLogger } from '../support/logger.ts';

const LIMITS = (files: string): string => `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             5                    5                    processes \nMax open files            ${files} files     \n`;

/** More than Node itself, the database and a few requests need. */
const OPEN_FILES = 200;
const REFUSED_STREAMS = 20;

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

t.test('where there are enough, or no bound, or nothing is known, it takes as many as it was told, and nothing is said', async (t) => {
  const { logger, lines } = recordingLogger();
  for (const limits of [LIMITS('1100                 1100'), LIMITS('unlimited            unlimited'), '']) t.equal(streamsThatFit(100, logger, limits), 100);
  t.same(lines, []);
  t.equal(streamsThatFit(5000, logger, LIMITS('4096                 1048576')), 3096, 'the soft limit is the one that holds');
  t.equal(lines.length, 1);
});
