import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';

/** What has to go when the benchmark ends: told to the guardian, which is started with the first of it. */

let guardian: Writable | undefined;

function tell(line: string): void {
  guardian ??= startGuardian();
  guardian.write(`${line}\n`);
}

function startGuardian(): Writable {
  // A group of its own: Ctrl-C in the terminal must not reach it. It keeps nothing of the benchmark alive.
  const child = spawn(process.execPath, [join(import.meta.dirname, 'guardian.ts')], { detached: true, stdio: ['pipe', 'inherit', 'inherit'] });
  child.unref();
  // A pipe is a socket in Node, but its type does not say so.
  if ('unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref();
  return child.stdin;
}

/** From now on the group is killed when this process ends, until it is forgotten. */
export function watchGroup(group: number): void {
  tell(`group ${group}`);
}

export function forgetGroup(group: number): void {
  tell(`over group ${group}`);
}

/** An empty folder that is removed when this process ends, or before. TMPDIR says on which disk. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-bench-'));
  tell(`folder ${folder}`);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  tell(`over folder ${folder}`);
}
