import { existsSync, readFileSync } from 'node:fs';
import { need } from './programs.ts';
import type { Scope } from './temp.ts';

/** Far longer than any test: the disk comes back when strace goes. Microseconds. */
const FOR_LONG = 3_600_000_000;

/** What brings written data to the disk. */
export const SYNCS = 'fsync,fdatasync';

/**
 * What strace is told so that calls on a file are not answered, as on a file system that is frozen, until strace is gone.
 *
 * @param from Of each thread, the first such call that is not answered.
 */
export function hanging(file: string, calls: string, from = 1): string[] {
  return ['-f', '-qq', '-o', '/dev/null', '-P', file, '-e', `trace=${calls}`, '-e', `inject=${calls}:delay_enter=${FOR_LONG}:when=${from}+`];
}

/** The command by which a process is started on a disk that will hang. */
export function onHangingDisk(file: string, calls: string, from: number): string[] {
  return [need('strace'), '-D', ...hanging(file, calls, from)];
}

/**
 * @returns What lets the disk go on under a process that was started so. That happens at the latest when the test is over: strace would stay, and the process too, if the process was killed
 * while its disk hangs.
 */
export function thawOf(t: Scope, pid: number): () => void {
  const status = `/proc/${pid}/status`;
  const thaw = (): void => {
    const tracer = existsSync(status) ? Number(/^TracerPid:\s*(\d+)$/m.exec(readFileSync(status, 'utf8'))![1]) : 0;
    if (tracer !== 0) process.kill(tracer, 'SIGKILL');
  };
  t.teardown(thaw);
  return thaw;
}
