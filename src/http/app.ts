import { fastifySSE } from '@fastify/sse';
import { fastifySwagger } from '@fastify/swagger';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest, RawRequestDefaultExpression } from 'fastify';
import { randomBytes } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { Problem } from '../model/problem.ts';
import { addFastPath } from './fast-path/fast-path.ts';
import { BodyCollector } from './input/body.ts';
import { malformedQuery, parseQuery } from './input/query-string.ts';
import { validatorCompiler } from './input/validation.ts';
import { allowOrigins, isForeignPage, originHeaders } from './origin.ts';
import { answerClientError } from './output/client-error.ts';
import { openapi } from './output/openapi.ts';
import { PROBLEM_TYPE, problemBody, problemHeaders, problemOf } from './output/problem-response.ts';
import { addRoutes } from './routes/routes.ts';
import { BODY_MAX_BYTES, HEAD_MAX_BYTES, HEAD_MAX_MS, KEEP_ALIVE_MS, OTHER_MAX_CONNECTIONS, REQUEST_CHECK_MS, REQUEST_MAX_MS, STANDSTILL_MAX_MS, URL_MAX_BYTES } from './server-limits.ts';
import type { App, Service } from './service.ts';

/**
 * The HTTP side of an instance: requests come in from sockets, answers and event streams go out. In between, this room checks what a client
 * sent and asks the service, which knows nothing of HTTP. It has two edges: Fastify serves every route (routes/), and the fast path
 * (fast-path/) takes plain publishes and streams past the framework. Both read with input/, answer with output/, and share the files
 * beside this one.
 *
 * This file builds the server: its limits, the hooks that every request passes, and the one place where an error becomes an answer.
 */

const METHODS = ['GET', 'HEAD', 'POST'] as const;

/** Builds the HTTP side of an instance. It does not listen yet. */
export function buildApp(service: Service): App {
  const { config } = service;
  const logger: FastifyBaseLogger = service.logger;
  const requestId = requestIds();
  const app: App = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request' }),
    genReqId: requestId,
    http: { maxHeaderSize: HEAD_MAX_BYTES, requireHostHeader: false, headersTimeout: HEAD_MAX_MS, requestTimeout: REQUEST_MAX_MS, connectionsCheckingInterval: REQUEST_CHECK_MS },
    requestTimeout: REQUEST_MAX_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionTimeout: STANDSTILL_MAX_MS,
    bodyLimit: BODY_MAX_BYTES,
    // A GET route's handler may wait or stream: routes say themselves what HEAD is.
    exposeHeadRoutes: false,
    return503OnClosing: false,
    // A topic that is too long gets its own problem, rather than the router's, which no hook sees.
    routerOptions: { maxParamLength: HEAD_MAX_BYTES, querystringParser: parseQuery },
    frameworkErrors: (error, request, reply) => {
      void reply.headers(originHeaders(request.headers.origin, config.CORS_ORIGINS));
      answerError(error, request, reply, service);
    },
    clientErrorHandler: answerClientError,
  });

  app.server.maxConnections = config.MAX_STREAMS + OTHER_MAX_CONNECTIONS;
  // Whatever else a client expects, it gets an answer; Node's own would be a bare 417.
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
  if (config.HTTP_FAST_PATH === 'on') addFastPath({ server: app.server, service, requestId, limits: { firstRequestMs: HEAD_MAX_MS, keepAliveMs: KEEP_ALIVE_MS } });
  app.setValidatorCompiler(validatorCompiler);
  collectBodies(app);
  allowOrigins(app, config.CORS_ORIGINS, METHODS);
  app.addHook('onRequest', (request, reply, done) => done(refusal(app, config, request, reply)));
  app.addHook('onSend', (_request, reply, _payload, done) => {
    // A load balancer must not send the next request on this connection to an instance that is going.
    if (service.draining) reply.header('connection', 'close');
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = answerError(error, request, reply, service);
    // The publisher counts all other refusals itself.
    if (request.method === 'POST' && problem.status < 500 && problem.code !== 'key-reused') service.counters.refuse(problem.code);
  });

  void app.register(fastifySwagger, openapi).register(fastifySSE).after(() => addRoutes(app, service));
  return app;
}

/** Ids that tell requests apart in the lines of all instances' loggers. */
function requestIds(): () => string {
  const instance = randomBytes(4).toString('hex');
  let count = 0;
  return () => `${instance}-${(++count).toString(36)}`;
}

/** Bodies of every content type, and of none, reach their route as the bytes they are. */
function collectBodies(app: App): void {
  const bodies = new BodyCollector();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest, stream: RawRequestDefaultExpression) => {
    const length = request.headers['content-length'];
    return bodies.collect(stream, length === undefined ? undefined : Number(length), request.routeOptions.bodyLimit);
  });
}

/** What is wrong with a request before its route is asked; undefined is nothing. */
function refusal(app: App, config: Config, request: FastifyRequest, reply: FastifyReply): Problem | undefined {
  const { raw } = request;
  if ((raw.url ?? '').length > URL_MAX_BYTES) return new Problem('uri-too-long', `The URL is longer than ${URL_MAX_BYTES} bytes.`);
  // RFC 9112, section 3.2. Node would answer this by itself, without a body.
  if (raw.headers.host === undefined && raw.httpVersion === '1.1') return new Problem('invalid-request', 'The Host header is missing.', { field: 'Host' });
  if (request.is404) {
    const allowed = METHODS.filter((method) => (app.findRoute({ method, url: raw.url ?? '' }) as object | null) !== null);
    if (allowed.length === 0) return new Problem('not-found', 'There is nothing at this path; /openapi.json lists what there is.');
    reply.header('allow', allowed.join(', '));
    return new Problem('method-not-allowed', `${request.method} is not possible here; ${allowed.join(' and ')} ${allowed.length === 1 ? 'is' : 'are'}.`);
  }
  const malformed = malformedQuery(request.query as object);
  if (malformed !== undefined) return new Problem('invalid-request', `The parameter ${malformed} is not percent-encoded UTF-8.`, { field: malformed });
  if (request.method === 'POST' && isForeignPage(raw.headers, config.CORS_ORIGINS)) {
    return new Problem('cross-origin', 'A page of this origin may not publish here, unless CORS_ORIGINS names it.', { field: 'Origin' });
  }
  return undefined;
}

/** The one place where an error becomes an answer. */
function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, service: Service): Problem {
  const problem = problemOf(error, service.logger, () => request.id);
  void reply.code(problem.status).type(PROBLEM_TYPE).headers(problemHeaders(problem)).send(problemBody(problem));
  return problem;
}
