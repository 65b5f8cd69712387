import type { OpenContext, Opener } from './transport.ts';

/** Opens a source or sink. Rejects when the signal aborts, so that a system that never answers does not delay a stop. A source or sink that opens after that is closed. */
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
    // An error of this late opening is ignored: the caller has its error already.
    if (signal.aborted) void opening.then((opened) => opened.close().catch(closeFailed), () => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
