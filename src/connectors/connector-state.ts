import type { Logger } from '../runtime/logging/logger.ts';
import type { ConnectorPlan } from './plan.ts';

/** The status of connectors, for administrators and metrics. */

/**
 * - `connecting`: the system has not answered yet.
 * - `up`: records or messages are transferred as they come.
 * - `failing`: the last attempt failed, and another one follows.
 */
export type ConnectorCondition = 'connecting' | 'up' | 'failing';

export interface ConnectorStatus {
  readonly state: ConnectorCondition;
  /** The positions of a source's first few parts, each as `identity@position`. */
  readonly positions?: Readonly<Record<string, string>>;
  /** How many records or messages are not transferred yet; undefined if unknown. */
  readonly behind: number | undefined;
  /** Why the last failed attempt failed, even if later attempts succeeded. */
  readonly error: string | undefined;
  /** When that attempt failed: RFC 3339. */
  readonly failed: string | undefined;
}

/** The longest stored error. Stops a system that answers with a whole page from filling the database. */
const ERROR_MAX_CHARACTERS = 300;

/** The message of an error and of its cause, without secrets. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  const reason = `${message}${cause instanceof Error && cause.message !== '' && !message.includes(cause.message) ? ` (${cause.message})` : ''}`;
  // A client may quote its URL, with the password.
  return reason.replace(/\/\/[^/@\s]*@/g, '//').slice(0, ERROR_MAX_CHARACTERS).toWellFormed();
}

const FAILED_LINE = {
  source: 'a source is waiting: it cannot read, or the log cannot be written',
  sink: 'a sink is waiting: it cannot send, or the log cannot be read',
} as const;

export interface ConnectorStateOptions {
  readonly plan: Pick<ConnectorPlan, 'name' | 'kind'> & { readonly opener: { readonly place: string } };
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** Keeps the status of one connector. Logs when the connector comes up, and each new reason of a failure. */
export class ConnectorState {
  readonly #options: ConnectorStateOptions;
  /** Replaced as a whole at each change. */
  #status: ConnectorStatus = { state: 'connecting', behind: undefined, error: undefined, failed: undefined };

  constructor(options: ConnectorStateOptions) {
    this.#options = options;
  }

  get status(): ConnectorStatus {
    return this.#status;
  }

  set(parts: Partial<ConnectorStatus>): void {
    this.#status = { ...this.#status, ...parts };
  }

  up(): void {
    if (this.#status.state === 'up') return;
    this.set({ state: 'up' });
    const { plan: { name, kind, opener }, logger } = this.#options;
    logger.info({ connector: name, place: opener.place }, `a ${kind} is up`);
  }

  /** Logs a reason once, even if it repeats in a row. */
  failed(cause: unknown): void {
    const { plan: { name, kind }, now, logger } = this.#options;
    const error = reasonOf(cause);
    if (this.#status.state !== 'failing' || this.#status.error !== error) logger.warn({ connector: name, reason: error }, FAILED_LINE[kind]);
    this.set({ state: 'failing', error, failed: new Date(now()).toISOString() });
  }
}

/** The outcome of a record or message, as `tidings_connector_messages_total` counts it. */
export type ConnectorOutcome = 'stored' | 'known' | 'own' | 'dead' | 'lost' | 'sent' | 'origin' | 'gap' | 'renewed';

/** Adds to the counter of a connector and an outcome. Its key is both, separated by a space. */
export function countConnector(counts: Map<string, number>, connector: string, outcome: ConnectorOutcome, by = 1): void {
  if (by === 0) return;
  const key = `${connector} ${outcome}`;
  counts.set(key, (counts.get(key) ?? 0) + by);
}
