import t from 'tap';
import { ENDPOINTS, type Endpoint } from '../../src/http/admission/endpoints.ts';
import { PROBLEMS } from '../../src/model/problem.ts';
import { serve } from '../http/fast-path/ways.ts';
import { Http } from '../support/http.ts';
import { fakeService } from '../support/service.ts';
import { BAD_INPUT } from './bad-input-cases.ts';

/** The description of the whole: sound in itself (OpenAPI 3.1), and true. */

interface Content {
  readonly [mediaType: string]: { readonly schema: object };
}
interface Operation {
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean; readonly schema: object; readonly description?: string }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}
interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const { port } = await serve(t, fakeService());
const http = new Http(t, `http://127.0.0.1:${port}`);
const document = await http.json<Document>('/openapi.json');
const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation, name: `${method} ${path}` })));

/** Everything there is, but the document itself: each path as the document writes it, and its methods. */
const ROUTES: ReadonlyMap<string, readonly string[]> = new Map([...Map.groupBy(Object.values<Endpoint>(ENDPOINTS), ({ url }) => url.replaceAll(/:(\w+)/g, '{$1}'))]
  .filter(([path]) => path !== '/openapi.json').map(([path, endpoints]) => [path, endpoints.flatMap(({ methods }) => methods.map((method) => method.toLowerCase())).sort()]));

await t.test('it is OpenAPI 3 in itself', async (t) => {
  const { headers } = await http.get('/openapi.json');
  t.match(headers['content-type'], /^application\/json/);
  t.match(document.openapi, /^3\.[01]\.[0-9]+$/);
  t.match(document.info, { title: /./, version: /./ });
  for (const { path, operation, name } of operations) {
    t.match(path, /^\/[^?#]*$/, name);
    const parameters = operation.parameters ?? [];
    t.ok(parameters.every(({ in: place, schema }) => ['query', 'header', 'path'].includes(place) && typeof schema === 'object'), `${name}: parameters`);
    t.equal(new Set(parameters.map(({ in: place, name: parameter }) => `${place} ${parameter}`)).size, parameters.length, `${name}: no parameter twice`);
    t.ok(parameters.every(({ description = '' }) => description !== '' || path === '/messages/{id}'), `${name}: parameters are explained`);
    const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, parameter]) => parameter);
    t.strictSame(parameters.filter(({ in: place, required }) => place === 'path' && required === true).map(({ name: parameter }) => parameter), inPath, `${name}: what stands in the path is declared`);
    t.match(operation.summary, /./, name);
    t.ok(operation.tags.every((tag) => document.tags.some((known) => known.name === tag)), `${name}: tags`);
    const statuses = Object.entries(operation.responses);
    t.ok(statuses.length > 0 && statuses.every(([status, { description }]) => /^[1-5][0-9]{2}$/.test(status) && description !== ''), `${name}: responses`);
    for (const content of [operation.requestBody?.content, ...statuses.map(([, response]) => response.content)]) {
      for (const [type, { schema }] of Object.entries(content ?? {})) t.ok(/^[a-z]+\/[a-z0-9.+-]+$/.test(type) && typeof schema === 'object', `${name}: ${type}`);
    }
  }
  // A reference could lead nowhere: there is none.
  t.notMatch(JSON.stringify(document), /"\$ref"/);
});

await t.test('every route is in it, and nothing else', async (t) => {
  t.strictSame(Object.fromEntries(Object.entries(document.paths).map(([path, methods]) => [path, Object.keys(methods).sort()])), Object.fromEntries(ROUTES), 'the schemas of src/http/routes/ and the endpoints of src/http/admission/endpoints.ts have the same paths and methods');
  for (const [path, methods] of ROUTES) {
    const { headers } = await http.send('PUT', path.replace('{topic}', 'a').replace('{id}', 'x').replace('{module}', 'x'));
    // What is named in a path may be an id, too.
    const allowed = path === '/instances/rebalance' ? [...ROUTES.get('/instances/{id}')!, ...methods] : methods;
    t.strictSame(headers.allow, allowed.map((method) => method.toUpperCase()).join(', '), `${path}: the service allows the same`);
  }
});

await t.test('it names requests and answers, with their content types', async (t) => {
  const of = (method: string, path: string): Operation => document.paths[path]![method]!;
  const types = (method: string, path: string, status: number): string[] => Object.keys(of(method, path).responses[status]?.content ?? {});
  t.strictSame(Object.keys(of('post', '/messages').requestBody!.content), ['application/json', 'application/x-ndjson']);
  t.strictSame(Object.keys(of('post', '/topics/{topic}').requestBody!.content), ['application/json', 'text/plain']);
  for (const path of ['/topics/{topic}', '/messages']) {
    t.strictSame(types('post', path, 201), ['application/json'], path);
    for (const status of [400, 403, 411, 413, 415, 422, 503]) t.strictSame(types('post', path, status), ['application/problem+json'], `${path} ${status}`);
  }
  for (const path of ['/events', '/topics/{topic}/events']) {
    t.strictSame([types('get', path, 200), types('get', path, 400), types('get', path, 406)], [['text/event-stream'], ['application/problem+json'], ['application/problem+json']], path);
    t.strictSame(of('get', path).parameters!.map(({ name }) => name.toLowerCase()).sort(), ['after', 'as', 'control', 'last', 'last-event-id', 'lasteventid', 'meta', 'names', 'pattern', 'presence', 'since', 'ticket', 'topic'], path);
  }
  for (const path of ['/messages', '/topics/{topic}/messages']) {
    const names = of('get', path).parameters!.map(({ name }) => name);
    for (const name of ['topic', 'after', 'since', 'last', 'limit', 'wait', 'pattern']) t.ok(names.includes(name), `${path} ${name}`);
  }
  const headers = of('post', '/topics/{topic}').parameters!.filter(({ in: place }) => place === 'header').map(({ name }) => name.toLowerCase()).sort();
  t.strictSame(headers, ['idempotency-key', 'tidings-event', 'ttl']);
  const queries = (path: string): string[] => of('post', path).parameters!.filter(({ in: place }) => place === 'query').map(({ name }) => name).sort();
  t.strictSame(queries('/topics/{topic}'), ['event', 'eventHeader', 'idempotencyHeader', 'idempotencyKey', 'report']);
  t.strictSame(queries('/messages'), ['idempotencyHeader', 'idempotencyKey']);
  for (const event of ['$open', '$cursor', '$gap', '$expiring', '$presence', '$busy']) t.ok(document.info.description.includes(event), `${event} is explained`);
});

await t.test('it names every code that an error can have', async (t) => {
  const text = JSON.stringify(document);
  for (const [code, [status]] of Object.entries(PROBLEMS)) t.ok(document.info.description.includes(`\`${code}\` | ${status}`), code);
  for (const code of new Set(BAD_INPUT.map((one) => one.code))) t.ok(text.includes(`\`${code}\``), `${code}, which the service has answered`);
});

await t.test('every refusal of a route is in its responses', async (t) => {
  for (const { name, request, status, code } of BAD_INPUT) {
    const [method, target] = request.toString('latin1', 0, 200).split(' ', 2) as [string, string?];
    const path = target?.split('?', 1)[0]!.replace(/^\/topics\/[^/]+(?=\/|$)/, '/topics/{topic}').replace(/^\/messages\/[^/]+$/, '/messages/{id}');
    const operation = document.paths[path ?? '']?.[method.toLowerCase()];
    // What is refused before there is a route, or where a route takes nothing, stands in the list of all.
    if (operation === undefined || operation.tags.includes('operations') || ([404, 405, 414, 431].includes(status) && code !== 'message-not-found')) continue;
    t.ok(operation.responses[status]?.description.includes(`\`${code}\``), `${method} ${path}: ${name}. The schema of its route names each code in problems(…); ${code} is missing there`);
  }
});
