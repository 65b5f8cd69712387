import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rmdir, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomName } from '../../store/names.ts';
import { hostMs, isRunning } from './host-clock.ts';

/** Members and metadata stand in the folder: it is its owner's only. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** How many characters name a process. */
const PROCESS_NAME_CHARACTERS = 12;

/** How long the file of a process that was killed stays. One that was only frozen makes another. */
const ENDED_KEPT_MS = 60_000;

/** After the folder was removed, the others count as expected for this number of lease times. Meanwhile they notice it, and write their files again. */
const EXPECTED_FACTOR = 2;

export interface RosterOptions {
  readonly folder: string;
  readonly logId: string;
  readonly leaseMs: number;
}

/**
 * The processes that use one log: an empty file for each, whose time is the end of its lease by the host's clock. A process that is alone so learns that it is, at the cost of a few system calls a second.
 */
export class Roster {
  /** The name of this process among the others. */
  readonly name = randomName(PROCESS_NAME_CHARACTERS);
  readonly #folder: string;
  readonly #prefix: string;
  readonly #file: string;
  readonly #leaseMs: number;
  /** The others, when they were last looked for. */
  #known: readonly string[] = [];
  /** When processes without their file stop counting, by the host's clock. */
  #expectedUntil = 0;

  constructor({ folder, logId, leaseMs }: RosterOptions) {
    this.#folder = folder;
    this.#prefix = `${logId}-`;
    this.#file = join(folder, `${this.#prefix}${this.name}`);
    this.#leaseMs = leaseMs;
  }

  /** Makes this process known, and returns the names of the others. Once, when the process begins: it does not answer before it knows whether it is alone. */
  enter(): readonly string[] {
    mkdirSync(this.#folder, { recursive: true, mode: FOLDER_MODE });
    writeFileSync(this.#file, '', { mode: FILE_MODE });
    const ends = (hostMs() + this.#leaseMs) / 1000;
    utimesSync(this.#file, ends, ends);
    this.#known = this.#others(readdirSync(this.#folder)).filter((name) => {
      const found = statSync(this.#fileOf(name), { throwIfNoEntry: false });
      return found !== undefined && isRunning(found.mtimeMs, hostMs());
    });
    return this.#known;
  }

  /** Prolongs the lease, and returns the names of the others. */
  async look(): Promise<readonly string[]> {
    await this.#renew();
    const names = new Set(hostMs() < this.#expectedUntil ? this.#known : []);
    for (const name of this.#others(await readdir(this.#folder))) {
      const ends = await this.#endOf(name);
      if (ends === undefined) continue;
      const now = hostMs();
      if (isRunning(ends, now)) names.add(name);
      else if (!isRunning(ends + ENDED_KEPT_MS, now)) await unlink(this.#fileOf(name)).catch(missingOnly);
    }
    this.#known = [...names];
    return this.#known;
  }

  async leave(): Promise<void> {
    await unlink(this.#file).catch(missingOnly);
    await rmdir(this.#folder).catch(inUseOnly);
  }

  /** Somebody may have removed the file, or the folder. */
  async #renew(): Promise<void> {
    const ends = (hostMs() + this.#leaseMs) / 1000;
    try {
      await utimes(this.#file, ends, ends);
    } catch (error) {
      missingOnly(error);
      // Removing the folder has removed the files of the others too.
      this.#expectedUntil = hostMs() + EXPECTED_FACTOR * this.#leaseMs;
      await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
      await writeFile(this.#file, '', { mode: FILE_MODE });
      await utimes(this.#file, ends, ends);
    }
  }

  #others(names: readonly string[]): string[] {
    return names.filter((name) => name.startsWith(this.#prefix)).map((name) => name.slice(this.#prefix.length)).filter((name) => name !== this.name);
  }

  #fileOf(name: string): string {
    return join(this.#folder, `${this.#prefix}${name}`);
  }

  async #endOf(name: string): Promise<number | undefined> {
    try {
      return (await stat(this.#fileOf(name))).mtimeMs;
    } catch (error) {
      return missingOnly(error);
    }
  }
}

function missingOnly(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
  return undefined;
}

/** Other processes are there, or members that several had written. */
function inUseOnly(error: unknown): undefined {
  if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
  return undefined;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
