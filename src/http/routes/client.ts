import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../../model/problem.ts';
import { ENDPOINTS } from '../endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { at, problems } from './schemas.ts';

const BUILT = join(import.meta.dirname, '../../client/built');
/** What the library loads when it is used. */
export const LATER_MODULES = ['long-poll.js', 'presence.js', 'sharing.js', 'stream-topics.js'] as const;

interface Module {
  readonly text: Buffer;
  readonly etag: string;
}

/** The client library, for pages that have no build: `import { connect } from '/client.js'`; and what that imports when it is used. */
export function clientRoutes(app: App, { config }: Service): void {
  const modules = new Modules();
  const responses = { 200: { description: 'The module.', content: { 'text/javascript': { schema: Type.String() } } }, 304: { description: 'It is the one that `If-None-Match` names.' } };

  app.route({
    ...at(ENDPOINTS.client, config),
    schema: { tags: ['client'], summary: 'The client library, as a JavaScript module', response: { ...responses, ...problems() } },
    handler: async (request, reply) => answer(request, reply, await modules.read('client.js')),
  });

  app.route({
    ...at(ENDPOINTS.clientModule, config),
    schema: {
      tags: ['client'], summary: 'A module that the client library loads when it is used', response: { ...responses, ...problems('not-found') },
      params: Type.Object({ module: Type.String({ description: `One of ${LATER_MODULES.join(', ')}.` }) }),
    },
    handler: async (request, reply) => {
      const name = LATER_MODULES.find((module) => module === request.params.module);
      if (name === undefined) throw new Problem('not-found', 'The client library has no such module.', { field: 'module' });
      return answer(request, reply, await modules.read(`client/${name}`));
    },
  });
}

function answer(request: FastifyRequest, reply: FastifyReply, { text, etag }: Module): FastifyReply {
  // It is asked for anew each time: pages of one version of the service do not run with the library of another.
  void reply.header('cache-control', 'no-cache').header('etag', etag);
  if (namesTag(request.headers['if-none-match'], etag)) return reply.code(304).send();
  return reply.type('text/javascript; charset=utf-8').send(text);
}

/** Each is read once, and not by those who never ask for it. */
class Modules {
  readonly #read = new Map<string, Promise<Module>>();

  async read(name: string): Promise<Module> {
    const reading = this.#read.get(name) ?? readModule(name);
    this.#read.set(name, reading);
    try {
      return await reading;
    } catch (error) {
      this.#read.delete(name);
      throw error;
    }
  }
}

async function readModule(name: string): Promise<Module> {
  const text = await readFile(join(BUILT, name));
  return { text, etag: `"${hash('sha256', text, 'hex').slice(0, 20)}"` };
}

/** RFC 9110, 13.1.2. A proxy that compresses makes a tag a weak one. */
function namesTag(header: string | undefined, etag: string): boolean {
  return header !== undefined && (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag));
}
