/** What takes all that a source brings. */
export interface SourceTaker {
  /** The place that was reached; undefined before the beginning. */
  readonly cursor: string | undefined;
  /** @param id The place that is reached with it. */
  take(event: string, content: unknown, id?: string): void;
  /** The source lives. */
  heard(): void;
  /** The source has lost the service, and goes on trying. */
  failed(): void;
}

/** Where a stream reads, if not at the service itself. */
export interface StreamSource {
  /** Reads until the signal is aborted, or until it has to be called anew. @returns `here` where the stream has to read at the service itself. */
  read(taker: SourceTaker, topics: readonly string[], signal: AbortSignal): Promise<'here' | undefined>;
  /** Nothing is wanted for now. */
  leave(): void;
}
