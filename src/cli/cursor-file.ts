import { open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { CommandError, wrongUsage } from './outcome.ts';

/** As docs/protocol.md describes an id. */
const CURSOR = /^[a-z0-9]+-[a-z0-9]+$/;
const CURSOR_MAX_CHARACTERS = 49;

/** A file that holds the place from which a command goes on. It has the old place or the new one, never a part: a new file takes its name. */
export class CursorFile {
  readonly #path: string;
  #kept: string | undefined;

  private constructor(path: string, kept: string | undefined) {
    this.#path = path;
    this.#kept = kept;
  }

  /** @throws CommandError where it is there, and has no cursor. */
  static async open(path: string): Promise<CursorFile> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return new CursorFile(path, undefined);
      throw wrongUsage(`--cursor-file: ${path} cannot be read (${code})`);
    }
    const cursor = text.trim();
    if (!CURSOR.test(cursor) || cursor.length > CURSOR_MAX_CHARACTERS) throw wrongUsage(`--cursor-file: ${path} has no cursor in it. Remove it to begin anew.`);
    return new CursorFile(await realpath(path), cursor);
  }

  /** The last text read from it or written to it. */
  get cursor(): string | undefined {
    return this.#kept;
  }

  /** One at a time. Resolves once this place is in the file. */
  async write(cursor: string): Promise<void> {
    const next = `${this.#path}.${process.pid}.tmp`;
    try {
      const file = await open(next, 'w');
      try {
        await file.writeFile(`${cursor}\n`);
        // Otherwise a power cut could leave the new name with nothing in it.
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(next, this.#path);
    } catch (error) {
      await rm(next, { force: true });
      throw new CommandError(`--cursor-file: ${this.#path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
    }
    this.#kept = cursor;
  }
}
