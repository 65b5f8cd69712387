import type { FastifyRequest } from 'fastify';
import { Hold, type Budget } from '../runtime/sharing/budget.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The memory of its body; undefined without a body. */
    bodyHold: Hold | undefined;
    /** The memory of its answer while that is made; undefined if that does not count. */
    answerHold: Hold | undefined;
  }
}

/** Begins to count the body of a request. */
export function holdBody(request: FastifyRequest, budget: Budget): Hold {
  return (request.bodyHold = new Hold(budget, request.admission.holder()));
}

/**
 * Lets go of a request's body: its messages are kept.
 * @param bytes The memory they hold until they are stored.
 */
export function keepOnly(request: FastifyRequest, bytes: number): void {
  request.body = undefined;
  request.bodyHold?.shrinkTo(bytes);
}

/** The request is answered: nothing of its body is needed any more, though its client may take its time with the answer. */
export function letGoOfBody(request: FastifyRequest): void {
  if (request.bodyHold === undefined) return;
  request.body = undefined;
  request.bodyHold.release();
}
