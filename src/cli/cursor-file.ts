import { open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { CommandError, wrongUsage } from './outcome.ts';

/** The form of an id (docs/protocol.md). */
const CURSOR = /^[a-z0-9]+-[a-z0-9]+$/;
const CURSOR_MAX_CHARACTERS = 49;

/** A file with the cursor at which a command resumes. A write replaces it by a rename, so a crash leaves the old cursor or the new one, never a part. */
export class CursorFile {
  readonly #path: string;
  #cursor: string | undefined;

  private constructor(path: string, cursor: string | undefined) {
    this.#path = path;
    this.#cursor = cursor;
  }

  /** Reads the file, if it exists. @throws CommandError if the file has no cursor in it, or cannot be read */
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

  /** The cursor in the file; undefined if the file does not exist. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** Resolves once the cursor is on disk. Call it again only after that. */
  async write(cursor: string): Promise<void> {
    const next = `${this.#path}.${process.pid}.tmp`;
    try {
      const file = await open(next, 'w');
      try {
        await file.writeFile(`${cursor}\n`);
        // Without `sync`, a power cut could leave an empty file under the new name.
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(next, this.#path);
    } catch (error) {
      await rm(next, { force: true });
      throw new CommandError(`--cursor-file: ${this.#path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
    }
    this.#cursor = cursor;
  }
}
