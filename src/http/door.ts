import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { Problem, StreamEnded } from '../model/problem.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Admission, AdmissionPolicy } from './admission/admission.ts';
import { lacksLength } from './admission/body-rules.ts';
import type { Endpoint } from './admission/endpoints.ts';
import { isAwaitingContinue } from './expect-continue.ts';
import { takeHandedOver } from './handed-over.ts';
import { isWaiting, type HeldRequests } from './held-requests.ts';
import { discardBody } from './input/body.ts';
import type { Query } from './input/query-string.ts';
import { listenerOf } from './sockets/operations-server.ts';
import type { Listener, RequestHead } from './admission/request-head.ts';
import type { App } from './service.ts';
import { claim, isClaimed, passOver } from './sockets/takeover.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The decision of admission. */
    admission: Admission;
  }
  interface FastifyContextConfig {
    endpoint?: Endpoint;
  }
}

/** Puts admission in front of every route. The hook runs in the turn in which a request's head was parsed, so it sees requests in their order. */
export function addDoor(app: App, policy: AdmissionPolicy, counters: Counters, requests: HeldRequests): void {
  app.decorateRequest('admission');
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const isStream = request.method === 'GET' && request.routeOptions.config.endpoint?.isStream === true;
    const head = new OrdinaryHead(app, request);
    // No request is served on the connection after a stream, or after a body of unknown length.
    const isLast = isStream || lacksLength(head);
    // Claim the connection before waiting for anything: requests that are pipelined after this one are parsed next.
    if (isLast ? !claim(socket) : isClaimed(socket)) {
      skip(request, reply);
      return;
    }
    counters.requests.ordinary++;
    // The connection lets go of the head of a stream's request when the stream begins.
    const hasRoom = isStream || requests.admit(request.raw, reply.raw);
    if (!hasRoom && isWaiting(reply.raw)) {
      // A refusal would wait behind earlier answers, and keep the request in memory until then.
      reply.hijack();
      socket.destroy();
      return;
    }
    // If the request is refused, end its connection anyway: so the client knows that requests after it were not carried out.
    if (isLast) void reply.header('connection', 'close');
    const { admission = policy.admit(head, socket), takeBack } = takeHandedOver(socket) ?? {};
    // On a later stack, so that the HTTP server finishes its own work at the end of the answer first.
    if (takeBack !== undefined && !isStream) reply.raw.once('finish', () => void setImmediate(takeBack));
    if (admission instanceof Promise) void admission.then((awaited) => enter(hasRoom ? awaited : withoutRoom(awaited), request, reply, done));
    else enter(hasRoom ? admission : withoutRoom(admission), request, reply, done);
  });
}

/** Neither carries a request out nor answers it: it comes after one for a stream on the same connection. */
function skip(request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  passOver(request.raw.socket, request.raw);
}

/**
 * The error that answers a request which the framework rejected before any hook ran. A refusal of admission takes precedence over the framework's error.
 * @returns undefined if the request gets no answer.
 */
export async function refusalOf(app: App, policy: AdmissionPolicy, error: Error, request: FastifyRequest, reply: FastifyReply): Promise<Error | undefined> {
  if (isClaimed(request.raw.socket)) {
    skip(request, reply);
    return undefined;
  }
  const { admission = policy.admit(new OrdinaryHead(app, request), request.raw.socket) } = takeHandedOver(request.raw.socket) ?? {};
  const { headers, outcome } = await admission;
  void reply.headers(headers);
  return outcome.kind === 'refused' ? outcome.error : error;
}

/** Refuses a request that `HeldRequests` has no room for. A preflight is answered at once, so it needs none. */
function withoutRoom(admission: Admission): Admission {
  const { kind } = admission.outcome;
  if (kind === 'refused' || kind === 'preflight') return admission;
  return { ...admission, outcome: { kind: 'refused', error: new Problem('overloaded', 'Too many requests with long heads are under way.') } };
}

function enter(admission: Admission, request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
  const { headers, outcome } = admission;
  request.admission = admission;
  void reply.headers(headers);
  if (outcome.kind === 'preflight') {
    void reply.code(204).header('content-length', '0').send();
    return;
  }
  if (outcome.kind !== 'refused') {
    // The route of a stream answers `busy` itself, with `$busy`.
    done();
    return;
  }
  const refusal = outcome.error;
  // 204 ends a browser's EventSource for good.
  if (refusal instanceof StreamEnded && request.method === 'GET' && request.routeOptions.config.endpoint?.isStream === true) {
    void reply.code(204).header('cache-control', 'no-store').send();
    return;
  }
  request.log.debug({ client: admission.clientAddress(), code: refusal instanceof Problem ? refusal.code : 'internal' }, 'refused');
  void refuse(refusal, request, reply, done);
}

/**
 * Refuses a request after reading its body, because a client that still sends often never sees the answer. If the body is too long to read, the connection ends.
 * A client that waits for `100 Continue` sends no body, so it gets its answer at once.
 */
async function refuse(refusal: Error, request: FastifyRequest, reply: FastifyReply, done: (error: Error) => void): Promise<void> {
  const { 'content-length': length, 'transfer-encoding': coding } = request.raw.headers;
  // The answer to a refused stream ends its connection anyway, so its body need not be read.
  const hasBody = (length !== undefined || coding !== undefined) && request.routeOptions.config.endpoint?.isStream !== true;
  const isRead = !hasBody || (!await isAwaitingContinue(request.raw) && await discardBody(request.raw, length === undefined ? undefined : Number(length), request.routeOptions.bodyLimit));
  if (!isRead) void reply.header('connection', 'close');
  done(refusal);
}

/** The `RequestHead` of a request that Node and the framework's router have read. */
class OrdinaryHead implements RequestHead {
  readonly #app: App;
  readonly #request: FastifyRequest;

  constructor(app: App, request: FastifyRequest) {
    this.#app = app;
    this.#request = request;
  }

  get method(): string {
    return this.#request.method;
  }

  get listener(): Listener {
    return listenerOf(this.#request.raw.socket);
  }

  get url(): string {
    return this.#request.raw.url ?? '';
  }

  get httpVersion(): string {
    return this.#request.raw.httpVersion;
  }

  get headers(): IncomingHttpHeaders {
    return this.#request.raw.headers;
  }

  get repeated(): readonly string[] {
    const { rawHeaders } = this.#request.raw;
    const seen = new Set<string>();
    const repeated: string[] = [];
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const name = rawHeaders[index]!.toLowerCase();
      if (seen.has(name)) repeated.push(name);
      seen.add(name);
    }
    return repeated;
  }

  get query(): Query {
    return this.#request.query as Query;
  }

  get endpoint(): Endpoint | undefined {
    return this.#request.routeOptions.config.endpoint;
  }

  allowedMethods(path = this.url): readonly string[] {
    return METHODS.filter((method) => (this.#app.findRoute({ method, url: path }) as object | null) !== null);
  }
}

const METHODS = ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST'] as const;
