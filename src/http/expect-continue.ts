import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Requests whose clients wait to be told to go on with their bodies (`Expect: 100-continue`, RFC 9110, section 10.1.1). They are told when the body is wanted. A request that is
 * refused before that gets its refusal and nothing else: so its body is never sent.
 */
const waiting = new WeakMap<IncomingMessage, ServerResponse>();

/** Its client waits. */
export function awaitContinue(request: IncomingMessage, response: ServerResponse): void {
  waiting.set(request, response);
}

/** Whether its client still waits. It does not if it has sent some of its body by the next turn: the head and what follows it are parsed in one. */
export async function isAwaitingContinue(request: IncomingMessage): Promise<boolean> {
  if (!waiting.has(request)) return false;
  await new Promise((resolve) => setImmediate(resolve));
  return !request.complete && request.readableLength === 0;
}

/**
 * Tells the client to go on, if it waits, when the answers before it have left. Node would queue the words, and write them into the middle of the answer
 * if that is there first.
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
