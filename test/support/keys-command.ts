import { join } from 'node:path';
import { Child } from './child.ts';
import { COMMAND_ENV } from './compile-cache.ts';
import { tempFolder, type Scope } from './temp.ts';

const TIDINGS = join(import.meta.dirname, '../../src/tidings.js');

export interface Ran {
  readonly code: number | null;
  /** What it printed, on both outputs. */
  readonly output: string;
}

/** What an operator types: `npx tidings keys …`. */
export async function keysCommand(t: Scope, env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ran> {
  const child = new Child(t, process.execPath, [TIDINGS, 'keys', ...args], { cwd: tempFolder(t), env: { ...COMMAND_ENV, ...env } });
  const { code } = await child.exited;
  return { code, output: child.output };
}

/** Makes a key. */
export async function createKey(t: Scope, env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<{ readonly id: string; readonly key: string }> {
  const { code, output } = await keysCommand(t, env, 'create', ...args);
  const [key, id] = /^tdg_([a-z0-9]{12})_[0-9a-f]{64}$/m.exec(output) ?? [];
  if (code !== 0 || key === undefined || id === undefined) throw new Error(`tidings keys create ended with ${code}: ${output}`);
  return { id, key };
}

export function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}
