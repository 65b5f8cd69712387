import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** Where system programs are, also for users whose PATH leaves them out. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin', '/sbin', '/bin'];

/** The full path of a program of the machine; undefined where it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''), ...SYSTEM_FOLDERS];
  return findExecutable(folders.map((folder) => join(folder, name)));
}

/** The first of these paths that is a program. */
export function findExecutable(paths: readonly string[]): string | undefined {
  return paths.find(isExecutable);
}

export function needProgram(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a program prints, on either output; `nginx -v` prints on the second. */
export async function said(command: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, args);
  return (stdout + stderr).trim();
}

/** The version of a package that is installed in a folder. */
export function packageVersion(folder: string): string {
  return readPackage(folder).version ?? '';
}

export function readPackage(folder: string): { readonly version?: string; readonly scripts?: Readonly<Record<string, string>> } {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
