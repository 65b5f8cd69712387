import t from 'tap';
import { checkOpenFiles } from '../src/open-files.ts';
import { startInstance } from './support/instance.ts';
import { recordingLog } from './support/log.ts';

const LIMITS = (files: string): string => `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             5                    5                    processes \nMax open files            ${files} files     \n`;

t.test('who may open fewer files than there may be streams is told what to raise, and to what', async (t) => {
  const instance = await startInstance(t, { MAX_STREAMS: '100' }, { by: ['prlimit', '--nofile=1099:1099'] });
  await instance.says('"msg":"MAX_STREAMS is 100, but the system lets this process open 1099 files only: raise \\"ulimit -n\\" to 1100, or lower MAX_STREAMS"');
});

t.test('where there are enough, or no bound, or nothing is known, nothing is said', async (t) => {
  const { log, lines } = recordingLog();
  for (const limits of [LIMITS('1100                 1100'), LIMITS('unlimited            unlimited'), '']) checkOpenFiles(100, log, limits);
  t.same(lines, []);
  checkOpenFiles(100, log, LIMITS('1099                 1048576'));
  t.equal(lines.length, 1, 'the soft limit is the one that holds');
});
