import type { FastifyRequest } from 'fastify';
import { Hold, type Budget } from '../runtime/sharing/budget.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The memory of its body; undefined without a body. */
    bodyHold: Hold | undefined;
    /** The memory of its answer while a route builds it; undefined if that is not counted. */
    answerHold: Hold | undefined;
  }
}

/** Begins to count the body of a request. */
export function holdBody(request: FastifyRequest, budget: Budget): Hold {
  return (request.bodyHold = new Hold(budget, request.admission.holder()));
}

/**
 * Frees the body of a request after its messages were read from it.
 * @param bytes The memory that these messages use until they are stored.
 */
export function keepOnly(request: FastifyRequest, bytes: number): void {
  request.body = undefined;
  request.bodyHold?.shrinkTo(bytes);
}

/** Frees the body when the request is answered. A client that reads its answer slowly must not keep the body in memory. */
export function letGoOfBody(request: FastifyRequest): void {
  if (request.bodyHold === undefined) return;
  request.body = undefined;
  request.bodyHold.release();
}
