import { fastifyCors } from '@fastify/cors';
import { fastifySSE } from '@fastify/sse';
import { fastifySwagger } from '@fastify/swagger';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest, RawRequestDefaultExpression } from 'fastify';
import { randomBytes } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { Problem } from '../model/problem.ts';
import { DirectConnections } from './fast-path/connections.ts';
import { BodyReader } from './input/body.ts';
import { malformedQuery, parseQuery } from './input/query-string.ts';
import { validatorCompiler } from './input/validation.ts';
import { EXPOSED_HEADERS, isForeignPage, originHeaders } from './origin.ts';
import { answerClientError } from './output/client-error.ts';
import { openapi } from './output/openapi.ts';
import { PROBLEM_TYPE, problemBody, problemHeaders, problemOf } from './output/problem-response.ts';
import { historyRoutes } from './routes/history.ts';
import { operationRoutes } from './routes/operations.ts';
import { directPublish, publishRoutes } from './routes/publish.ts';
import { directStream, streamRoutes } from './routes/streams.ts';
import type { App, Service } from './service.ts';

/** The longest URL, so that one request costs bounded work: 100 topics of 255 ASCII characters fit. Bytes. */
export const URL_BYTES_MAX = 32 * 1024;

/** Stops a request's head from filling memory. It leaves 32 KiB for headers besides the longest URL, so that a URL that is too long gets its 414. Bytes. */
const HEAD_BYTES_MAX = URL_BYTES_MAX + 32 * 1024;

/** Stops a client that sends its head a byte at a time from holding a connection. Milliseconds. */
const HEAD_TIME_MAX = 20_000;

/** Stops one that does so with its body. An open stream is no request under way: none of these limits ends it. Milliseconds. */
const REQUEST_TIME_MAX = 120_000;

/** How often connections are looked through for the two limits above. Milliseconds. */
const REQUEST_CHECK_INTERVAL = 5_000;

/** How long an idle connection is kept: longer than the 60 s of common load balancers, or they would send a request into a closing one. Milliseconds. */
const KEEP_ALIVE_TIME = 72_000;

/**
 * How long a connection may stand still, with an answer that its client does not take or one that does not come: longer than the
 * longest poll. Stops clients that stopped reading from holding their answers for ever. Milliseconds.
 */
const STANDSTILL_TIME_MAX = 120_000;

/** Connections besides those of streams: more are dropped, before files are too many for the database to open its own. */
const OTHER_CONNECTIONS_MAX = 4096;

/** For how long a browser may remember that a cross-origin request is allowed. Seconds. */
const PREFLIGHT_SECONDS = 3600;

/** The largest body where no route says otherwise: nothing there takes one. Bytes. */
const BODY_BYTES_MAX = 1024;

const METHODS = ['GET', 'HEAD', 'POST'] as const;

/** Builds the HTTP side of an instance: routes, errors, and what holds for every request. It does not listen yet. */
export function buildApp(service: Service): App {
  const { config } = service;
  const logger: FastifyBaseLogger = service.logger;
  const requestId = requestIds();
  const app: App = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request' }),
    genReqId: requestId,
    http: { maxHeaderSize: HEAD_BYTES_MAX, requireHostHeader: false, headersTimeout: HEAD_TIME_MAX, requestTimeout: REQUEST_TIME_MAX, connectionsCheckingInterval: REQUEST_CHECK_INTERVAL },
    requestTimeout: REQUEST_TIME_MAX,
    keepAliveTimeout: KEEP_ALIVE_TIME,
    connectionTimeout: STANDSTILL_TIME_MAX,
    bodyLimit: BODY_BYTES_MAX,
    // A GET route's handler may wait or stream: routes say themselves what HEAD is.
    exposeHeadRoutes: false,
    return503OnClosing: false,
    // A topic that is too long gets its own problem, rather than the router's, which no hook sees.
    routerOptions: { maxParamLength: HEAD_BYTES_MAX, querystringParser: parseQuery },
    frameworkErrors: (error, request, reply) => {
      void reply.headers(originHeaders(request.headers.origin, config.CORS_ORIGINS));
      answerError(error, request, reply, service);
    },
    clientErrorHandler: answerClientError,
  });

  app.server.maxConnections = config.MAX_STREAMS + OTHER_CONNECTIONS_MAX;
  // Whatever else a client expects, it gets an answer; Node's own would be a bare 417.
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
  takeDirectly(app, service, requestId);
  app.setValidatorCompiler(validatorCompiler);
  readBodies(app);
  allowOrigins(app, config);
  app.addHook('onRequest', (request, reply, done) => done(refusal(app, config, request, reply)));
  app.addHook('onSend', (_request, reply, _payload, done) => {
    // A load balancer must not send the next request on this connection to an instance that is going.
    if (service.draining) reply.header('connection', 'close');
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = answerError(error, request, reply, service);
    // The publisher counts its own, which are the others.
    if (request.method === 'POST' && problem.status < 500 && problem.code !== 'key-reused') service.counters.refuse(problem.code);
  });

  void app.register(fastifySwagger, openapi).register(fastifySSE).after(() => {
    publishRoutes(app, service);
    streamRoutes(app, service);
    historyRoutes(app, service);
    operationRoutes(app, service);
  });
  return app;
}

/** Streams and single publishes go past the framework where they are plain; what leaves an instance that is going says so there. */
function takeDirectly(app: App, service: Service, requestId: () => string): void {
  const publish = directPublish(service, requestId);
  const stream = directStream(service, requestId);
  new DirectConnections(app.server, (request, connection) => {
    if (service.draining) return false;
    return request.method === 'POST' ? publish(request, connection) : stream(request, connection);
  }, { firstRequestMs: HEAD_TIME_MAX, keepAliveMs: KEEP_ALIVE_TIME });
}

/** Ids that tell requests apart in the log, also those of several instances. */
function requestIds(): () => string {
  const instance = randomBytes(4).toString('hex');
  let count = 0;
  return () => `${instance}-${(++count).toString(36)}`;
}

/** Bodies of every content type, and of none, reach their route as the bytes they are. */
function readBodies(app: App): void {
  const bodies = new BodyReader();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest, stream: RawRequestDefaultExpression) => {
    const length = request.headers['content-length'];
    return bodies.read(stream, length === undefined ? undefined : Number(length), request.routeOptions.bodyLimit);
  });
}

function allowOrigins(app: App, { CORS_ORIGINS }: Config): void {
  if (CORS_ORIGINS.length === 0) return;
  void app.register(fastifyCors, {
    origin: CORS_ORIGINS === '*' ? '*' : [...CORS_ORIGINS],
    methods: [...METHODS],
    allowedHeaders: ['Content-Type', 'Last-Event-ID', 'Idempotency-Key', 'TTL', 'Tidings-Event', 'Authorization', 'Cache-Control'],
    exposedHeaders: [...EXPOSED_HEADERS],
    maxAge: PREFLIGHT_SECONDS,
    // Any OPTIONS is answered, rather than with an error of a form of its own.
    strictPreflight: false,
  });
}

/** What is wrong with a request before its route is asked; undefined is nothing. */
function refusal(app: App, config: Config, request: FastifyRequest, reply: FastifyReply): Problem | undefined {
  const { raw } = request;
  if ((raw.url ?? '').length > URL_BYTES_MAX) return new Problem('uri-too-long', `The URL is longer than ${URL_BYTES_MAX} bytes.`);
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
