import { fastifySSE } from '@fastify/sse';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest, RawRequestDefaultExpression } from 'fastify';
import { randomBytes } from 'node:crypto';
import { Problem, type ProblemCode } from '../model/problem.ts';
import type { Load } from '../runtime/background-loads.ts';
import { AdmissionPolicy, RULES } from './admission/admission.ts';
import { COMPILERS, describeRoutes, loadDescriber } from './api-document.ts';
import { settingOf } from './admission/body-rules.ts';
import { addDoor, refusalOf } from './door.ts';
import { awaitContinue, tellToGoOn } from './expect-continue.ts';
import { addFastPath } from './fast-path/fast-path.ts';
import { holdBody, letGoOfBody } from './held-bodies.ts';
import { HeldHeads } from './held-heads.ts';
import { httpMemory, type HttpMemory } from './http-memory.ts';
import { collectBody } from './input/body.ts';
import { parseQuery } from './input/query-string.ts';
import { loadValidator, validatorCompiler } from './input/validation.ts';
import { answerClientError } from './output/client-error.ts';
import { PROBLEM_TYPE, problemBody, problemHeaders, problemOf } from './output/problem-response.ts';
import type { Asked } from './output/until-answered.ts';
import { keepRoom } from './sockets/room-for-connections.ts';
import { addRoutes } from './routes/routes.ts';
import { BODY_MAX_BYTES, HEAD_MAX_BYTES, HEAD_MAX_MS, KEEP_ALIVE_MS, REQUEST_MAX_MS, SERVER_OPTIONS, STANDSTILL_MAX_MS } from './admission/server-limits.ts';
import type { Rule } from './admission/rule.ts';
import type { App, Service } from './service.ts';
import { isClaimed } from './sockets/takeover.ts';
import { addWebSockets, shouldUpgrade } from './websocket/websocket.ts';

/**
 * The HTTP side of an instance: requests come in from sockets, answers and event streams go out. In between, this room checks what a client
 * sent and asks the service, which knows nothing of HTTP. It has two edges: Fastify serves every route (routes/), and the fast path
 * (fast-path/) takes plain publishes and streams past the framework. Both read with input/, answer with output/, and share the files
 * beside this one.
 *
 * This file builds the server: its limits, the door (door.ts) with its policy (admission.ts), and the one place where an error becomes an answer.
 */

/** Problems that the publisher has counted already. */
const COUNTED_BY_PUBLISHER: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['key-reused', 'topic-quota']);

/** Modules that an instance loads once it serves. */
export const HTTP_LOADS: readonly Load[] = [loadValidator, loadDescriber];

/**
 * Builds the HTTP side of an instance. It does not listen yet.
 * @param rules The door policy; a test may put rules of its own in front.
 */
export function buildApp(service: Service, rules: readonly Rule[] = RULES): App {
  const { config } = service;
  const policy = new AdmissionPolicy(service, rules);
  const memory = httpMemory(config, service.counters);
  const logger: FastifyBaseLogger = service.logger;
  const requestId = requestIds();
  const app: App = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request' }),
    genReqId: requestId,
    http: { ...SERVER_OPTIONS, shouldUpgradeCallback: shouldUpgrade },
    requestTimeout: REQUEST_MAX_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionTimeout: STANDSTILL_MAX_MS,
    bodyLimit: BODY_MAX_BYTES,
    // A GET route's handler may wait or stream: routes say themselves what HEAD is.
    exposeHeadRoutes: false,
    return503OnClosing: false,
    // A topic that is too long gets its own problem, rather than the router's, which no hook sees.
    // Routes assemble their own bytes: the schemas of answers are for the document.
    schemaController: { compilersFactory: COMPILERS },
    routerOptions: { maxParamLength: HEAD_MAX_BYTES, querystringParser: parseQuery },
    frameworkErrors: (error, request, reply) => {
      void refusalOf(app, policy, error, request, reply).then((refusal) => {
        if (refusal === undefined) return;
        const { status } = answerError(refusal, request, reply, service);
        // No hook runs for these.
        service.counters.answer(status);
      });
    },
    clientErrorHandler: (error, socket) => {
      // Bytes after the request for a stream are ignored, well-formed or not.
      const status = isClaimed(socket) ? undefined : answerClientError(error, socket);
      if (status !== undefined) service.counters.answer(status);
    },
  });

  // A client may close its side after its request, and still wait for the answer. The fast path lets it too.
  Object.assign(app.server, { httpAllowHalfOpen: true });
  // Admission refuses every other expectation; Node's own answer would be a bare 417.
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
  app.server.on('checkContinue', (request, response) => {
    awaitContinue(request, response);
    app.server.emit('request', request, response);
  });
  const heads = new HeldHeads(app.server, memory.bodies);
  if (config.HTTP_FAST_PATH === 'off') app.server.on('connection', (socket) => heads.follow(socket));
  const endIdle = config.HTTP_FAST_PATH === 'on'
    ? addFastPath({ server: app.server, service, policy, requestId, parts: memory.bodies, heads, limits: { firstRequestMs: HEAD_MAX_MS, keepAliveMs: KEEP_ALIVE_MS } })
    // Node ends all connections that have had an answer.
    : () => app.server.closeIdleConnections();
  keepRoom(app.server, { maxConnections: service.maxConnections, endIdle, streams: () => service.counters.opened - service.counters.closed, counters: service.counters, trusted: config.TRUST_PROXY });
  addWebSockets(app, { service, policy, parts: memory.bodies, heads });
  app.setValidatorCompiler(validatorCompiler);
  collectBodies(app, memory);
  addDoor(app, policy, service.counters, memory.requests);
  app.addHook('onSend', (request, reply, payload, done) => {
    letGoOfBody(request);
    const asked = (): Asked => ({ socket: request.raw.socket, response: reply.raw, holder: request.admission.holder() });
    // From here on the answer itself counts.
    request.answerHold?.release();
    // Reads may be refused. Changes are always answered, and so is a refusal.
    if (request.method !== 'GET' || reply.statusCode >= 400) memory.outgoing.add(asked, payload);
    else if (!memory.outgoing.admit(asked, payload)) {
      done(new Problem('overloaded', 'Too many answers are waiting until their clients read them.'));
      return;
    }
    // A load balancer must not send the next request on this connection to an instance that is going.
    if (service.draining) reply.header('connection', 'close');
    service.counters.answer(reply.statusCode);
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = answerError(error, request, reply, service);
    // The publisher counts all other refusals itself.
    if (request.method === 'POST' && problem.status < 500 && !COUNTED_BY_PUBLISHER.has(problem.code)) service.counters.refuse(problem.code);
  });

  const describe = describeRoutes(app);
  void app.register(fastifySSE).after(() => addRoutes(app, service, memory, describe));
  return app;
}

/** Ids that tell requests apart in the lines of all instances' loggers. */
function requestIds(): () => string {
  const instance = randomBytes(4).toString('hex');
  let count = 0;
  return () => `${instance}-${(++count).toString(36)}`;
}

/** Bodies of every content type, and of none, reach their route as the bytes they are. */
function collectBodies(app: App, { bodies }: HttpMemory): void {
  app.decorateRequest('bodyHold', undefined);
  app.decorateRequest('answerHold', undefined);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest, stream: RawRequestDefaultExpression) => {
    const length = request.headers['content-length'];
    tellToGoOn(request.raw);
    return collectBody(stream, { declared: length === undefined ? undefined : Number(length), limit: request.routeOptions.bodyLimit, setting: settingOf(request.routeOptions.config.endpoint), hold: holdBody(request, bodies) });
  });
}

/** The one place where an error becomes an answer. */
function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, service: Service): Problem {
  const problem = problemOf(error, service.logger, () => request.id);
  void reply.code(problem.status).type(PROBLEM_TYPE).headers(problemHeaders(problem)).send(problemBody(problem));
  return problem;
}
