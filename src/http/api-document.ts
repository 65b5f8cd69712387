import type { RouteOptions } from 'fastify';
import type { App } from './service.ts';
import { openapi } from './output/openapi.ts';

/** Makes the OpenAPI document of an instance. */
export type DescribeApi = () => Promise<object>;

/** In the place of Fastify's own, which would be loaded with ajv and much else. A server sets the check of its queries itself, and routes make their own bytes. */
export const COMPILERS = {
  buildValidator: () => () => {
    throw new Error('A server has no compiler for what its routes check');
  },
  buildSerializer: () => () => JSON.stringify,
};

/** Collects the routes that are added from now on. The document is made of them when a client first asks for it: few instances ever load what makes it. */
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

/** The plugin reads the routes of the server that it is registered with. This one has their schemas, and never listens. */
async function documentOf(routes: readonly RouteOptions[]): Promise<object> {
  const [{ fastify }, { fastifySwagger }] = await Promise.all([import('fastify'), import('@fastify/swagger')]);
  const server = fastify({ exposeHeadRoutes: false, schemaController: { compilersFactory: COMPILERS } }).setValidatorCompiler(() => () => true);
  await server.register(fastifySwagger, openapi);
  for (const { method, url, schema } of routes) server.route({ method, url, ...(schema === undefined ? {} : { schema }), handler: () => undefined });
  await server.ready();
  return server.swagger();
}
