import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../../model/problem.ts';
import { maySteer } from '../admission/access-rules.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import { wantsPage } from '../input/wants-page.ts';
import { PAGE_POLICY } from '../output/security-headers.ts';
import type { App, Service } from '../service.ts';
import { StaticFiles } from '../static-files.ts';
import { sendJson } from './answers.ts';
import { at, problems } from './schemas.ts';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { readonly version: string };
const SOURCES = join(import.meta.dirname, '../../page');
const HTML = 'text/html; charset=utf-8';

/** The files of the page: name, place, and content type. */
const FILES: ReadonlyMap<string, readonly [file: string, type: string]> = new Map([
  ['page.js', ['built/page.js', 'text/javascript; charset=utf-8']],
  ['charts.js', ['built/charts.js', 'text/javascript; charset=utf-8']],
  ['page.css', ['page.css', 'text/css; charset=utf-8']],
  ['icon.svg', ['icon.svg', 'image/svg+xml']],
]);

const Index = Type.Object({
  name: Type.Literal('tidings'),
  version: Type.Optional(Type.String({ description: 'The version of the service, for requests that may operate.' })),
  open: Type.Boolean({ description: 'Whether everybody may come in without a credential.' }),
  sessions: Type.Boolean({ description: 'Whether `POST /session` exchanges a key or token for a cookie.' }),
  you: Type.Object({
    name: Type.Optional(Type.String({ description: 'The credential, as in log lines: `key …` or `subject …`; absent without one.' })),
    member: Type.Optional(Type.String({ description: 'The name for people: of a key its name, of a token its subject.' })),
    publish: Type.Boolean({ description: 'Whether the request may publish to any topic.' }),
    read: Type.Boolean({ description: 'Whether the request may read any topic.' }),
    topics: Type.Optional(Type.Array(Type.String(), { description: 'The topics and patterns that the request may read; absent if it may read all.' })),
    presence: Type.Boolean({ description: 'Whether the request may see the listeners of any topic.' }),
    streams: Type.Boolean({ description: 'Whether the request may list and close streams.' }),
    operate: Type.Boolean({ description: 'Whether the request may see instances and metrics.' }),
    administer: Type.Boolean({ description: 'Whether the request may make and revoke keys, and drain instances.' }),
  }, { description: 'The rights of the request.' }),
  api: Type.Record(Type.String(), Type.String(), { description: 'The first routes to try.' }),
});

const API = {
  publish: 'POST /topics/{topic}',
  stream: 'GET /topics/{topic-or-pattern}/events',
  streams: 'GET /events?topic={topic-or-pattern}&topic={…}',
  history: 'GET /topics/{topic-or-pattern}/messages',
  topics: 'GET /topics',
  client: 'GET /client.js',
  health: 'GET /readyz',
  everything: 'GET /openapi.json',
} as const;

/** `GET /`: the page for browsers, and for programs an index of the API with the sender's rights. `GET /page/{file}`: the page's files. */
export function pageRoutes(app: App, { config }: Service): void {
  const files = new StaticFiles(SOURCES);
  const hasPage = config.PAGE === 'on';

  function index(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { identity, clientAddress } = request.admission;
    const { grant, name } = identity;
    // Operating and administering take a credential in a header, never a cookie.
    const isShown = name === undefined || request.headers.authorization !== undefined;
    const mayOperate = isShown && identity.mayOperate;
    return sendJson(reply, {
      name: 'tidings', ...(mayOperate ? { version } : {}),
      open: name === undefined && grant.isAnonymous !== true,
      sessions: config.AUTH_COOKIE !== undefined,
      you: {
        name, member: identity.member?.id, publish: grant.publishable?.length !== 0, read: grant.readable?.length !== 0, topics: grant.readable,
        presence: grant.seesPresence === true, streams: isShown && maySteer(identity, request, config, clientAddress()), operate: mayOperate, administer: isShown && identity.mayAdminister,
      },
      api: API,
    });
  }

  app.route({
    ...at(ENDPOINTS.index, config),
    schema: {
      tags: ['client'], summary: 'The page for browsers; for programs an index, and their rights',
      response: {
        200: { description: 'The page if `Accept` prefers HTML, otherwise the index.', content: { 'application/json': { schema: Index }, 'text/html': { schema: Type.String() } } },
        304: { description: '`If-None-Match` names the current page.' },
        ...problems('unavailable', 'cross-origin'),
      },
    },
    handler: async (request, reply) => {
      void reply.header('vary', [reply.getHeader('vary'), 'Accept'].filter((name) => name !== undefined).join(', '));
      if (!hasPage || !wantsPage(request.headers)) return index(request, reply);
      return files.answer(request, reply.header('content-security-policy', PAGE_POLICY), 'index.html', HTML);
    },
  });

  app.route({
    ...at(ENDPOINTS.pageFile, config),
    schema: {
      tags: ['client'], summary: 'A file that the page loads', params: Type.Object({ file: Type.String({ description: `One of ${[...FILES.keys()].join(', ')}.` }) }),
      response: {
        200: { description: 'The file.', content: { 'text/javascript': { schema: Type.String() }, 'text/css': { schema: Type.String() }, 'image/svg+xml': { schema: Type.String() } } },
        304: { description: '`If-None-Match` names the current file.' },
        ...problems('not-found'),
      },
    },
    handler: async (request, reply) => {
      const file = hasPage ? FILES.get(request.params.file) : undefined;
      if (file === undefined) throw new Problem('not-found', hasPage ? 'The page has no such file.' : 'There is no page here: the setting PAGE is off.', { field: 'file' });
      return files.answer(request, reply, ...file);
    },
  });
}
