import type { Logger } from '../runtime/logging/logger.ts';
import type { ConnectorPlan } from './plan.ts';

/** How connectors are, for administrators and metrics. */

/**
 * - `connecting`: the system has not answered yet.
 * - `up`: records or messages go over as they come.
 * - `failing`: the last attempt failed, and another one follows.
 */
export type ConnectorCondition = 'connecting' | 'up' | 'failing';

export interface ConnectorStatus {
  readonly state: ConnectorCondition;
  /** How far a source has read its first few parts, each as `identity@position`. */
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

const WAITING = {
  source: 'a source is waiting: it cannot read, or the log cannot be written',
  sink: 'a sink is waiting: it cannot send, or the log cannot be read',
} as const;

export interface ConnectorStateOptions {
  readonly plan: Pick<ConnectorPlan, 'name' | 'kind'> & { readonly opener: { readonly place: string } };
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/** The status of a connector, replaced as a whole when it changes. It logs when a connector comes up, and each new reason of a failure. */
export class ConnectorState {
  readonly #options: ConnectorStateOptions;
  #now: ConnectorStatus = { state: 'connecting', behind: undefined, error: undefined, failed: undefined };

  constructor(options: ConnectorStateOptions) {
    this.#options = options;
  }

  get status(): ConnectorStatus {
    return this.#now;
  }

  set(parts: Partial<ConnectorStatus>): void {
    this.#now = { ...this.#now, ...parts };
  }

  up(): void {
    if (this.#now.state === 'up') return;
    this.set({ state: 'up' });
    const { plan: { name, kind, opener }, logger } = this.#options;
    logger.info({ connector: name, place: opener.place }, `a ${kind} is up`);
  }

  /** One log line for each reason, however often it comes in a row. */
  failed(cause: unknown): void {
    const { plan: { name, kind }, now, logger } = this.#options;
    const error = reasonOf(cause);
    if (this.#now.state !== 'failing' || this.#now.error !== error) logger.warn({ connector: name, reason: error }, WAITING[kind]);
    this.set({ state: 'failing', error, failed: new Date(now()).toISOString() });
  }
}

/** The outcome of a record or message, as `tidings_connector_messages_total` counts it. */
export type ConnectorOutcome = 'stored' | 'known' | 'own' | 'dead' | 'lost' | 'sent' | 'origin' | 'gap' | 'renewed';

/** Counts by connector and outcome, with a blank between. */
export function countConnector(counts: Map<string, number>, connector: string, outcome: ConnectorOutcome, by = 1): void {
  if (by === 0) return;
  const key = `${connector} ${outcome}`;
  counts.set(key, (counts.get(key) ?? 0) + by);
}
