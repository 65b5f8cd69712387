import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.ts';
import { COMPILE_CACHE } from './compile-cache.ts';
import { tempFolder, type Scope } from './temp.ts';

const TIDINGS = join(import.meta.dirname, '../../src/tidings.js');

export interface ShellOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs; by default an empty folder. */
  readonly folder?: string;
  readonly entry?: string;
}

/** What somebody types into a shell in which `tidings` is a command. Its output has both standard output and standard error. */
export function shell(t: Scope, line: string, { env = {}, folder = tempFolder(t), entry = TIDINGS }: ShellOptions = {}): Child {
  const bin = tempFolder(t);
  const command = join(bin, 'tidings');
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`);
  chmodSync(command, 0o755);
  return new Child(t, 'bash', ['-c', line], { cwd: folder, env: { PATH: `${bin}:${process.env['PATH']}`, HOME: folder, NODE_COMPILE_CACHE: COMPILE_CACHE, ...env } });
}

/** Runs a line to its end. */
export async function typed(t: Scope, line: string, options?: ShellOptions): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = shell(t, line, options);
  const { code } = await child.exited;
  return { code, output: child.output };
}
