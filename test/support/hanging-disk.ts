import { readFileSync } from 'node:fs';
import { need } from './programs.ts';

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

/** Lets the disk go on under a process that was started so. */
export function thaw(pid: number): void {
  const [, tracer] = /^TracerPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  process.kill(Number(tracer), 'SIGKILL');
}
