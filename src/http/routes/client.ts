import { join } from 'node:path';
import { Problem } from '../../model/problem.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { StaticFiles } from '../static-files.ts';
import { at, problems } from './schemas.ts';

const BUILT = join(import.meta.dirname, '../../client/built');
/** The modules that the library loads on use. */
export const LATER_MODULES = ['long-poll.js', 'more.js', 'presence.js', 'sharing.js', 'web-socket.js'] as const;
const JAVASCRIPT = 'text/javascript; charset=utf-8';

/** The client library, for pages that have no build: `import { connect } from '/client.js'`; and what that imports when it is used. */
export function clientRoutes(app: App, { config }: Service): void {
  const files = new StaticFiles(BUILT);
  const responses = { 200: { description: 'The module.', content: { 'text/javascript': { schema: Type.String() } } }, 304: { description: '`If-None-Match` names the current module.' } };

  app.route({
    ...at(ENDPOINTS.client, config),
    schema: { tags: ['client'], summary: 'The client library, as a JavaScript module', response: { ...responses, ...problems() } },
    handler: (request, reply) => files.answer(request, reply, 'client.js', JAVASCRIPT),
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
      return files.answer(request, reply, `client/${name}`, JAVASCRIPT);
    },
  });
}
