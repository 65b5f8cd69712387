import type { OpenContext, Opener } from './transport.ts';

/** Opens what a system has, unless the signal aborts first. A system that never answers keeps no instance that stops; what opens after that is closed. */
export async function openUnlessAborted<Opened extends { close(): Promise<void> }>(opener: Opener<Opened>, context: OpenContext, closeFailed: (error: unknown) => void): Promise<Opened> {
  const { signal } = context;
  signal.throwIfAborted();
  const opening = opener.open(context);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(new Error('it was stopped'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([opening, aborted]);
  } catch (error) {
    // Where it did not open, its own error says no more than this one.
    if (signal.aborted) void opening.then((opened) => opened.close().catch(closeFailed), () => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
