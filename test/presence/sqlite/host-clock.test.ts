import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { bootOffsetMs, hostMs, isRunning } from '../../../src/presence/sqlite/host-clock.ts';
import { Roster } from '../../../src/presence/sqlite/roster.ts';
import { tempFolder } from '../../support/temp.ts';

/** The clock of leases begins anew with the machine; files from before a restart are still there. */

const LEASE_MS = 10_000;
/** So much longer than now the machine had run when the lease was written. */
const LONGER_MS = 600_000;

t.test('a process from before a restart of the machine is not expected, whose lease would end later by the new clock', { skip: existsSync('/proc/sys/kernel/random/boot_id') ? false : 'this system does not name its boots' }, async (t) => {
  const folder = tempFolder(t);
  const roster = new Roster({ folder, logId: 'log', leaseMs: LEASE_MS });
  const uptimeMs = Number(process.hrtime.bigint()) / 1e6;
  for (const [name, boot] of [['nowhere', 0], ['before', bootOffsetMs('the boot before')]] as const) {
    const file = join(folder, `log-${name}`);
    writeFileSync(file, '');
    const ends = (boot + uptimeMs + LONGER_MS) / 1000;
    utimesSync(file, ends, ends);
  }
  t.same(roster.enter(), []);
  t.same(await roster.look(), []);
  const [own] = readdirSync(folder).filter((name) => name.endsWith(roster.name));
  t.ok(isRunning(statSync(join(folder, own!)).mtimeMs, hostMs()), 'a file system keeps the time of this boot');
});

t.test('processes of one boot have one clock, and boots are far apart', async (t) => {
  t.equal(bootOffsetMs('a'), bootOffsetMs('a'));
  t.equal(bootOffsetMs(''), 0);
  const boots = Array.from({ length: 100 }, (_, n) => bootOffsetMs(`boot ${n}`)).toSorted((one, other) => one - other);
  t.ok(boots.every((boot, n) => Number.isSafeInteger(boot) && (n === 0 || !isRunning(boot, boots[n - 1]!))));
  t.ok(boots.at(-1)! < 1_000_000_000_000);
});
