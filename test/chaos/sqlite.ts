import { execFileSync } from 'node:child_process';
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../support/child.ts';
import type { Instance } from '../support/instance.ts';
import type { Link } from '../support/link.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { LOST_EPOCH_MS, type FleetDatabase, type Hurt } from './database.ts';
import type { FaultKind } from './faults.ts';

const LOCKER = join(import.meta.dirname, '../support/locker.ts');
const COPIER = join(import.meta.dirname, '../support/copier.ts');
/** Far above what a run stores: filling it takes the machine's memory. */
const DISK = '256m';
const BLOCK = Buffer.alloc(1 << 20);

/** One file for all instances of one host; where the machine lets us, on a small disk of its own. */
export async function startSqlite(t: Scope): Promise<FleetDatabase> {
  const folder = tempFolder(t);
  const file = join(folder, 'log.db');
  const faults = new Map<FaultKind, Hurt>();
  const shared = { url: () => `file:${file}`, file, faults, links: new Map<string, Link>() };
  if (!mayMount()) {
    faults.set('database locked', ({ milliseconds }) => lock(t, [], file, milliseconds));
    faults.set('database loses its newest epoch', putBack(t, [], file, file));
    return { ...shared, by: [], skipped: ['a full disk: this user may not mount one in a namespace of its own'] };
  }
  // The namespace lives as long as this process; the instances join it.
  const holder = new Child(t, 'unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', `mount -t tmpfs -o size=${DISK},mode=700 tmpfs "$0" && echo mounted && exec sleep infinity`, folder]);
  await holder.says('mounted');
  const by = ['nsenter', '--target', String(holder.pid), '--user', '--mount', '--preserve-credentials', '--'];
  faults.set('database locked', ({ milliseconds }) => lock(t, by, file, milliseconds));
  const place = `/proc/${holder.pid}/root`;
  faults.set('disk full', ({ milliseconds }) => fill(place + folder, milliseconds));
  faults.set('database loses its newest epoch', putBack(t, by, file, place + file));
  return { ...shared, by, skipped: [] };
}

/** Another process holds the lock for writing: it was stopped in the middle of a commit. */
async function lock(t: Scope, by: readonly string[], file: string, milliseconds: number): Promise<void> {
  const line = [...by, process.execPath, LOCKER, file];
  const locker = new Child(t, line[0]!, line.slice(1));
  await locker.says('stopped inside a commit');
  await sleep(milliseconds);
  while (locker.running) {
    // It says so before it stops itself: told to go on in between, it would stop after.
    locker.kill('SIGCONT');
    await Promise.race([locker.exited, sleep(50)]);
  }
}

/**
 * A copy is made, an instance starts again, and later the copy is put back while all instances are stopped, as docs/operations.md has it.
 * @param place Where this process sees the file.
 */
function putBack(t: Scope, by: readonly string[], file: string, place: string): Hurt {
  return async ({ milliseconds, chance }, fleet) => {
    const { instances } = fleet;
    const end = async (instance: Instance, signal: NodeJS.Signals): Promise<void> => {
      instance.kill(signal);
      await instance.exited;
    };
    const copiedAt = performance.now();
    const copier = [...by, process.execPath, COPIER, file, `${file}.copy`];
    await new Child(t, copier[0]!, copier.slice(1)).says('copied');
    // No more than one: an id tells where its own epoch began, and not where the one before it did.
    const again = Math.floor(chance * 2 * instances.length) % instances.length;
    await end(instances[again]!, 'SIGKILL');
    await fleet.replace(again);
    await sleep(LOST_EPOCH_MS + milliseconds);
    const ending = chance < 0.5 ? 'SIGTERM' : 'SIGKILL';
    await Promise.all(instances.map((instance) => end(instance, ending)));
    const tookOverAt = performance.now();
    for (const suffix of ['', '-wal', '-shm']) rmSync(place + suffix, { force: true });
    renameSync(`${place}.copy`, place);
    await Promise.all(instances.map((_, index) => fleet.replace(index)));
    fleet.losses.push({ copiedAt, tookOverAt });
  };
}

/** Nothing is left of the disk, again and again: what is freed meanwhile is taken too. */
async function fill(folder: string, milliseconds: number): Promise<void> {
  const filler = join(folder, 'filler');
  const end = performance.now() + milliseconds;
  try {
    do {
      takeAll(filler);
      await sleep(50);
    } while (performance.now() < end);
  } finally {
    rmSync(filler, { force: true });
  }
}

function takeAll(filler: string): void {
  const file = openSync(filler, 'a');
  try {
    for (let size = BLOCK.length; size >= 1; size = Math.floor(size / 16)) {
      while (writes(file, size));
    }
  } finally {
    closeSync(file);
  }
}

function writes(file: number, size: number): boolean {
  try {
    return writeSync(file, BLOCK, 0, size) === size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

/** Namespaces of users and mounts let a normal user mount a disk of its own; root in a container may lack the right to make them. */
function mayMount(): boolean {
  try {
    execFileSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /tmp && exec nsenter --version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
