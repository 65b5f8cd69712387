import type * as Swagger from '@fastify/swagger';
import { fastify, type RouteOptions } from 'fastify';
import { createRequire } from 'node:module';
import type { App } from './service.ts';
import { openapi } from './output/openapi.ts';

/** Makes the OpenAPI document of an instance. */
export type DescribeApi = () => Promise<object>;

const require = createRequire(import.meta.url);

/** Replace the compilers of Fastify, which load ajv and many other modules. `app.ts` sets its own check of queries, and routes assemble their own bytes. */
export const COMPILERS = {
  buildValidator: () => () => {
    throw new Error('A server has no compiler for what its routes check');
  },
  buildSerializer: () => () => JSON.stringify,
};

/** Collects all routes that are added after this call. The returned function builds the document from them, at the first request for it. */
export function describeRoutes(app: App): DescribeApi {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => void routes.push(route));
  let document: Promise<object> | undefined;
  return async () => {
    document ??= documentOf(routes);
    try {
      return await document;
    } catch (error) {
      // The next request tries again.
      document = undefined;
      throw error;
    }
  };
}

/** Builds an empty document in advance, because the plugin loads some modules only then. So no request waits for these loads. */
export async function loadDescriber(): Promise<void> {
  await documentOf([]);
}

/** The plugin reads the routes of its server. So this function makes a server that has the schemas of all routes, and never listens. */
async function documentOf(routes: readonly RouteOptions[]): Promise<object> {
  // `require`, because a failed `import` fails for ever, even after the missing package is back.
  const { fastifySwagger } = require('@fastify/swagger') as typeof Swagger;
  const server = fastify({ exposeHeadRoutes: false, schemaController: { compilersFactory: COMPILERS } }).setValidatorCompiler(() => () => true);
  // Called without `register`: there, an error that the plugin throws for a missing module would end the process.
  await new Promise<void>((resolve, reject) => fastifySwagger(server, openapi, (error) => error === undefined ? resolve() : reject(error)));
  for (const { method, url, schema } of routes) server.route({ method, url, ...(schema === undefined ? {} : { schema }), handler: () => undefined });
  await server.ready();
  return server.swagger();
}
