/** Takes everything that a source delivers. `EventStream` implements it. */
export interface SourceTaker {
  /** The cursor that was reached; undefined before the first event with an id. */
  readonly cursor: string | undefined;
  /** @param id The new cursor; undefined leaves the cursor as it is. */
  take(event: string, content: unknown, id?: string): void;
  /** The source has received something: restarts the timeout `staleAfter`. */
  heard(): void;
  /** The source has lost its connection, and retries. */
  failed(): void;
}

/** Replaces the event stream from the service: long polls (watch.ts), the stream of another tab (sharing.ts), a WebSocket (web-socket.ts). */
export interface StreamSource {
  /** Reads until the signal is aborted, or until the source must be read again. @returns `here` if the stream must read an event stream from the service instead. */
  read(taker: SourceTaker, topics: readonly string[], signal: AbortSignal): Promise<'here' | undefined>;
  /** No topic is wanted: releases the connection. A later `read` takes it up again. */
  leave(): void;
}
