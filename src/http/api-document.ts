import type * as Swagger from '@fastify/swagger';
import { fastify, type RouteOptions } from 'fastify';
import { createRequire } from 'node:module';
import type { App } from './service.ts';
import { openapi } from './output/openapi.ts';

/** Makes the OpenAPI document of an instance. */
export type DescribeApi = () => Promise<object>;

const require = createRequire(import.meta.url);

/** In the place of Fastify's own, which would be loaded with ajv and much else. A server sets the check of its queries itself, and routes make their own bytes. */
export const COMPILERS = {
  buildValidator: () => () => {
    throw new Error('A server has no compiler for what its routes check');
  },
  buildSerializer: () => () => JSON.stringify,
};

/** Collects the routes that are added from now on. The document is made of them when a client first asks for it. */
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

/** Loads what makes the document, so that no first request waits for it: some modules only when a server is described. */
export async function loadDescriber(): Promise<void> {
  await documentOf([]);
}

/** The plugin reads the routes of the server that it is registered with. This one has their schemas, and never listens. */
async function documentOf(routes: readonly RouteOptions[]): Promise<object> {
  // An import of a package that lacks one of its own would fail for ever, also when that is back.
  const { fastifySwagger } = require('@fastify/swagger') as typeof Swagger;
  const server = fastify({ exposeHeadRoutes: false, schemaController: { compilersFactory: COMPILERS } }).setValidatorCompiler(() => () => true);
  // Called without `register`: there, an error that the plugin throws for a missing module would end the process.
  await new Promise<void>((resolve, reject) => fastifySwagger(server, openapi, (error) => error === undefined ? resolve() : reject(error)));
  for (const { method, url, schema } of routes) server.route({ method, url, ...(schema === undefined ? {} : { schema }), handler: () => undefined });
  await server.ready();
  return server.swagger();
}
