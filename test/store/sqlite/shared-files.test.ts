import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { t } from 'tap';
import { monotonic } from '../../../src/store/sqlite/files/connection.ts';
import { SharedFiles } from '../../../src/store/sqlite/shared-files.ts';

const connection = { files: { sides: { wal: '1:2', index: '1:3' } } };
const LONG_MS = 60_000;

t.test('a thread waits until the other has closed its connection, and not beyond its deadline', async (t) => {
  const files = new SharedFiles();
  t.ok(files.isLeftByOther(0, monotonic()), 'it has none yet');
  files.join(1, monotonic() + LONG_MS, () => connection);
  t.notOk(files.isLeftByOther(0, monotonic()));
  const other = new Worker(`
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.module).then(({ SharedFiles }) => {
      const files = new SharedFiles(workerData.shared);
      parentPort.once('message', () => files.leave(1));
      parentPort.postMessage('ready');
    });
  `, { eval: true, workerData: { module: new URL('../../../src/store/sqlite/shared-files.ts', import.meta.url).href, shared: files.shared } });
  await once(other, 'message');
  other.postMessage('leave');
  t.ok(files.isLeftByOther(0, monotonic() + LONG_MS));
  t.equal(files.join(0, monotonic() + LONG_MS, (inUse) => {
    t.equal(inUse, undefined);
    return connection;
  }), connection);
  await once(other, 'exit');
});
