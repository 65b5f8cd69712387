import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PlaceThread } from '../../../src/presence/sqlite/place-thread.ts';
import { tempFolder } from '../../support/temp.ts';

t.test('a damaged file is made anew by the process that notices it', async (t) => {
  const file = join(tempFolder(t), 'presence.db');
  writeFileSync(file, 'x'.repeat(8192));
  const thread = new PlaceThread({ file });
  t.teardown(() => thread.close());
  const begin = (): Promise<number> => thread.call('begin', { process: 'a', leaseMs: 10_000 });
  await t.rejects(begin(), { message: /not a database/ });
  const lease = await begin();
  t.equal(await thread.call('activate', { lease, leaseMs: 10_000 }), true);
  // Others use it then, and find that it was removed.
  const other = new PlaceThread({ file });
  t.teardown(() => other.close());
  t.match(await other.call('look', { lease, leaseMs: 10_000 }).catch((error: unknown) => error), { message: /removed, or could not be used/ });
});
