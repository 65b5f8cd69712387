/** How connectors are, for administrators and metrics. */

/**
 * - `connecting`: the system has not answered yet.
 * - `up`: records or messages go over as they come.
 * - `failing`: the last attempt failed, and another one follows.
 */
export type ConnectorCondition = 'connecting' | 'up' | 'failing';

export interface ConnectorStatus {
  readonly state: ConnectorCondition;
  /** Of a source: how far each part has been read, as `identity@position`. The first few parts. */
  readonly positions?: Readonly<Record<string, string>>;
  /** Records or messages that wait; undefined where that is not known. */
  readonly behind: number | undefined;
  /** Why the last attempt failed. It stays after a success, with its time. */
  readonly error: string | undefined;
  /** RFC 3339. */
  readonly failed: string | undefined;
}

/** The longest error that is kept. Stops a system that answers with a page from filling the database. */
const ERROR_MAX_CHARACTERS = 300;

/** An error's message and that of its cause, without what may be a secret. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  const reason = `${message}${cause instanceof Error && cause.message !== '' && !message.includes(cause.message) ? ` (${cause.message})` : ''}`;
  // A client may repeat the URL that it was given.
  return reason.replace(/\/\/[^/@\s]*@/g, '//').slice(0, ERROR_MAX_CHARACTERS).toWellFormed();
}

/** What counts and shows of a connector. Replaced as a whole when it changes. */
export class ConnectorState {
  #now: ConnectorStatus = { state: 'connecting', behind: undefined, error: undefined, failed: undefined };

  get status(): ConnectorStatus {
    return this.#now;
  }

  set(parts: Partial<ConnectorStatus>): void {
    this.#now = { ...this.#now, ...parts };
  }

  fail(error: unknown, now: number): void {
    this.set({ state: 'failing', error: reasonOf(error), failed: new Date(now).toISOString() });
  }
}

/** What became of records and messages, as `tidings_connector_messages_total` counts them. */
export type ConnectorOutcome = 'stored' | 'known' | 'own' | 'dead' | 'lost' | 'sent' | 'origin' | 'gap' | 'renewed';

/** Counts by connector and outcome, with a blank between. */
export function countConnector(counts: Map<string, number>, connector: string, outcome: ConnectorOutcome, by = 1): void {
  if (by === 0) return;
  const key = `${connector} ${outcome}`;
  counts.set(key, (counts.get(key) ?? 0) + by);
}
