import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';

interface File {
  readonly bytes: Buffer;
  readonly etag: string;
}

/** Files of this program for browsers. Each is read once, at its first request. */
export class StaticFiles {
  readonly #folder: string;
  readonly #read = new Map<string, Promise<File>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Answers with a file, or with 304 to a client that has it.
   * @param name A name from the program's own lists, never a text of the client: it becomes a path.
   */
  async answer(request: FastifyRequest, reply: FastifyReply, name: string, type: string): Promise<FastifyReply> {
    const { bytes, etag } = await this.#file(name);
    // Browsers ask each time whether the file has changed. So a page never runs with files of another version of the service.
    void reply.header('cache-control', 'no-cache').header('etag', etag);
    if (namesTag(request.headers['if-none-match'], etag)) return reply.code(304).send();
    return reply.type(type).send(bytes);
  }

  async #file(name: string): Promise<File> {
    const reading = this.#read.get(name) ?? readAll(join(this.#folder, name));
    this.#read.set(name, reading);
    try {
      return await reading;
    } catch (error) {
      this.#read.delete(name);
      throw error;
    }
  }
}

async function readAll(path: string): Promise<File> {
  const bytes = await readFile(path);
  return { bytes, etag: `"${hash('sha256', bytes, 'hex').slice(0, 20)}"` };
}

/** RFC 9110, 13.1.2. A proxy that compresses makes a tag a weak one. */
function namesTag(header: string | undefined, etag: string): boolean {
  return header !== undefined && (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag));
}
