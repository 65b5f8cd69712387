import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Requests with `Expect: 100-continue` (RFC 9110, section 10.1.1): their clients send the body only after `100 Continue`. The service sends that when it begins to read the body.
 * A request that is refused before gets only the refusal, so its body is never sent.
 */
const waiting = new WeakMap<IncomingMessage, ServerResponse>();

/** Remembers that the client of a request waits for `100 Continue`. */
export function awaitContinue(request: IncomingMessage, response: ServerResponse): void {
  waiting.set(request, response);
}

/** Whether the client still waits. Some clients send the body at once; its bytes are parsed by the next turn of the event loop. */
export async function isAwaitingContinue(request: IncomingMessage): Promise<boolean> {
  if (!waiting.has(request)) return false;
  await new Promise((resolve) => setImmediate(resolve));
  return !request.complete && request.readableLength === 0;
}

/**
 * Sends `100 Continue` if the client waits for it, after the answers to earlier requests of the connection. Without that wait, Node could write it into the middle of
 * the answer itself.
 */
export function tellToGoOn(request: IncomingMessage): void {
  const response = waiting.get(request);
  if (response === undefined || request.complete) return;
  waiting.delete(request);
  if (response.socket !== null) response.writeContinue();
  else {
    response.once('socket', () => {
      if (!response.headersSent && !request.complete) response.writeContinue();
    });
  }
}
