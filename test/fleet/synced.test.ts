import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { each, Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { need } from '../support/programs.ts';
import { rounds } from '../support/rounds.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Invariant 1, seen from outside: by the system calls of the process, the disk had each message before its 201 was written. */

/** Publishers at a time: alone, a few that share commits, and a crowd. */
const CROWDS = [1, 8, 64];
const MESSAGES = rounds(64, 2_000);

/** Longer than a page of the database with the head of its frame. */
const SHOWN_BYTES = 4_200;

const LOG = /^\d+ +(?:pwrite64|write|writev)\(\d+<[^>]*-wal>/;
const SYNC_BEGINS = /^(\d+) +(?:fdatasync|fsync)\(\d+<[^>]*-wal>/;
const SYNC_ENDED = /^(\d+) +(?:(?:fdatasync|fsync)\(\d+<[^>]*-wal>|<\.\.\. (?:fdatasync|fsync) resumed>).*\) += 0/;
const ANSWERS = /HTTP\/1\.1 201/;
const NAME = /sync-(\d+)-/g;

interface Seen {
  /** In how many messages' answers it was right. */
  readonly synced: number;
  /** The names of those that were answered before the disk had them. */
  readonly early: readonly string[];
  readonly syncs: number;
}

/** @param trace What strace wrote, in the order of the calls' beginnings and ends. */
function seenIn(trace: string): Seen {
  const [written, syncing, onDisk, answered] = [new Set<string>(), new Map<string, ReadonlySet<string>>(), new Set<string>(), new Set<string>()];
  const early: string[] = [];
  let syncs = 0;
  for (const line of trace.split('\n')) {
    const names = [...line.matchAll(NAME)].map(([, name]) => name!);
    if (LOG.test(line)) for (const name of names) written.add(name);
    else if (ANSWERS.test(line)) {
      for (const name of new Set(names)) {
        answered.add(name);
        if (!onDisk.has(name)) early.push(name);
      }
    }
    const begins = SYNC_BEGINS.exec(line)?.[1];
    if (begins !== undefined) syncing.set(begins, new Set(written));
    const ended = SYNC_ENDED.exec(line)?.[1];
    if (ended === undefined) continue;
    syncs++;
    for (const name of syncing.get(ended) ?? []) onDisk.add(name);
  }
  return { synced: answered.size - new Set(early).size, early, syncs };
}

t.test('a 201 is written after the sync of the write-ahead log that has the message', async (t) => {
  const folder = tempFolder(t);
  const trace = join(folder, 'trace');
  const by = [need('strace'), '-D', '-f', '-q', '-y', '--seccomp-bpf', '-s', String(SHOWN_BYTES), '-o', trace, '-e', 'trace=pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync'];
  const instance = await startInstance(t, { DATABASE_URL: `file:${join(folder, 'tidings.db')}`, PUBLISH_LIMIT: 'off' }, { by });
  let next = 0;
  for (const crowd of CROWDS) {
    const http = new Http(t, instance.url, crowd);
    await each(MESSAGES, crowd, async () => {
      const name = `sync-${next++}-`;
      await http.publish(`a.${name}`, name);
    });
  }
  instance.kill('SIGTERM');
  await instance.exited;
  const ended = new RegExp(`^${instance.pid} +\\+\\+\\+ exited with 0`, 'm');
  await until('strace has written all of it', () => ended.test(readFileSync(trace, 'latin1')));
  const { synced, early, syncs } = seenIn(readFileSync(trace, 'latin1'));
  t.same(early, []);
  t.equal(synced, next, 'each answer was seen, and each message before it');
  t.ok(syncs < next, `publishers shared syncs: ${syncs} for ${next} messages`);
});
