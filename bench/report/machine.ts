import { execFile } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import type { Peer } from '../types.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const GIB = 1024 ** 3;

/** What the figures were made on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
}

export function machine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / GIB),
    kernel: `${type()} ${release()}`,
  };
}

/** Of everything that was measured. */
export async function versions(peers: Iterable<Peer>): Promise<Record<string, string>> {
  const found: Record<string, string> = { V8: process.versions.v8 };
  for (const peer of peers) if (peer.missing() === undefined) Object.assign(found, await peer.versions());
  return found;
}

/** Of the service; "+" says that its files were changed after it. "unknown" where this is no checkout. */
export async function commit(): Promise<string> {
  try {
    const { stdout: head } = await run('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT });
    const { stdout: changed } = await run('git', ['status', '--porcelain', '--', 'src', 'package-lock.json'], { cwd: ROOT });
    return `${head.trim()}${changed === '' ? '' : '+'}`;
  } catch {
    return 'unknown';
  }
}
