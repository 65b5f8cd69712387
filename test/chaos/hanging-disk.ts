import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../support/child.ts';
import { need } from '../support/programs.ts';
import { Teardowns } from './teardowns.ts';

/** Far longer than any fault: the disk comes back when strace goes. Microseconds. */
const FOR_LONG = 3_600_000_000;

/** What a process writes to the file's write-ahead log does not come to its disk: it waits, as it does for a file system that is frozen. */
export async function hang(file: string, pid: number, milliseconds: number): Promise<void> {
  const scope = new Teardowns();
  try {
    const args = ['-f', '-qq', '-o', '/dev/null', '-p', String(pid), '-P', `${file}-wal`, '-e', 'trace=fsync,fdatasync', '-e', `inject=fsync,fdatasync:delay_enter=${FOR_LONG}`];
    const tracer = new Child(scope, need('strace'), args);
    await Promise.race([sleep(milliseconds), tracer.exited]);
    if (!tracer.running) throw new Error(`strace could not hang the disk: ${tracer.output}`);
  } finally {
    await scope.run();
  }
}
