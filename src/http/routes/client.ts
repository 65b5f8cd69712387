import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ENDPOINTS } from '../endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { at, problems } from './schemas.ts';

const FILE = join(import.meta.dirname, '../../client/built/client.js');

interface Module {
  readonly text: Buffer;
  readonly etag: string;
}

/** The client library, for pages that have no build: `import { connect } from '/client.js'`. */
export function clientRoutes(app: App, { config }: Service): void {
  /** Read once, and not by those who never ask for it. */
  let read: Promise<Module> | undefined;

  app.route({
    ...at(ENDPOINTS.client, config),
    schema: {
      tags: ['client'], summary: 'The client library, as a JavaScript module',
      response: { 200: { description: 'The module.', content: { 'text/javascript': { schema: Type.String() } } }, 304: { description: 'It is the one that `If-None-Match` names.' }, ...problems() },
    },
    handler: async (request, reply) => {
      const { text, etag } = await (read ??= readModule().catch((error: unknown) => {
        read = undefined;
        throw error;
      }));
      // It is asked for anew each time: pages of one version of the service do not run with the library of another.
      void reply.header('cache-control', 'no-cache').header('etag', etag);
      if (namesTag(request.headers['if-none-match'], etag)) return reply.code(304).send();
      return reply.type('text/javascript; charset=utf-8').send(text);
    },
  });
}

async function readModule(): Promise<Module> {
  const text = await readFile(FILE);
  return { text, etag: `"${hash('sha256', text, 'hex').slice(0, 20)}"` };
}

/** RFC 9110, 13.1.2. A proxy that compresses makes a tag a weak one. */
function namesTag(header: string | undefined, etag: string): boolean {
  return header !== undefined && (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag));
}
