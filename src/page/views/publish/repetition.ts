/** Sends a message again and again, at a rate. */

/** The highest rate. Stops the page from becoming a load generator; use the benchmark for that. */
export const REPEAT_SECOND_MAX_MESSAGES = 50;
/** The most messages of one repetition. Stops a forgotten page from filling the log. */
export const REPEAT_MAX_MESSAGES = 1_000;
/** Stops unanswered requests from piling up while the service is slower than the rate. */
const REPEAT_MAX_WAITING_REQUESTS = 4;
const SECOND_MS = 1000;

export interface Tally {
  /** Requests that were sent. */
  readonly sent: number;
  readonly stored: number;
  readonly refused: number;
  /** Why the last one was refused. */
  readonly error?: unknown;
}

export interface RepetitionOptions {
  readonly perSecond: number;
  readonly messages: number;
  readonly signal: AbortSignal;
  /** Publishes one message. Rejects if it is refused. */
  readonly send: (signal: AbortSignal) => Promise<void>;
  /** Whether the next message would be refused, too. */
  readonly isFinal: (error: unknown) => boolean;
  readonly tell: (tally: Tally) => void;
  /** Resolves after a time in milliseconds. */
  readonly pause: (ms: number) => Promise<void>;
}

/**
 * Sends until all messages are sent, one is refused for good, or the signal aborts. It never sends faster than the rate, not even after it stood still.
 * @returns When every request is answered.
 */
export async function repeat({ perSecond, messages, signal, send, isFinal, tell, pause }: RepetitionOptions): Promise<Tally> {
  let tally: Tally = { sent: 0, stored: 0, refused: 0 };
  let isOver = false;
  const waiting = new Set<Promise<void>>();
  const change = (more: Partial<Tally>): void => tell(tally = { ...tally, ...more });

  const one = async (): Promise<void> => {
    change({ sent: tally.sent + 1 });
    try {
      await send(signal);
      change({ stored: tally.stored + 1 });
    } catch (error) {
      // The outcome of an aborted request is unknown: count it as neither stored nor refused.
      if (signal.aborted) return;
      change({ refused: tally.refused + 1, error });
      isOver ||= isFinal(error);
    }
  };

  while (tally.sent < messages && !isOver && !signal.aborted) {
    if (waiting.size >= REPEAT_MAX_WAITING_REQUESTS) await Promise.race(waiting);
    if (isOver || signal.aborted) break;
    const request = one();
    waiting.add(request);
    void request.then(() => waiting.delete(request));
    if (tally.sent < messages) await pause(SECOND_MS / perSecond);
  }
  await Promise.all(waiting);
  return tally;
}
