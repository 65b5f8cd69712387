import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../support/child.ts';
import { hanging, SYNCS } from '../support/hanging-disk.ts';
import { need } from '../support/programs.ts';
import { Teardowns } from './teardowns.ts';

/** What a process writes to the file's write-ahead log does not come to its disk: it waits, as it does for a file system that is frozen. */
export async function hang(file: string, pid: number, milliseconds: number): Promise<void> {
  const scope = new Teardowns();
  try {
    const tracer = new Child(scope, need('strace'), ['-p', String(pid), ...hanging(`${file}-wal`, SYNCS)]);
    await Promise.race([sleep(milliseconds), tracer.exited]);
    if (!tracer.running) throw new Error(`strace could not hang the disk: ${tracer.output}`);
  } finally {
    await scope.run();
  }
}
