import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { BusState } from './bus.ts';

/**
 * The first and the longest wait before reconnecting. Waits double, less a random part of up to half. Stop all instances from connecting at once to a
 * server that comes back.
 */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5_000;

/** How long a connection has to last until the waits are short again. Stops connecting in a loop to a server that drops each connection. */
const STEADY_MS = 5_000;

/** How long a refusal counts. Stops the state from flapping when the server refuses only some messages. */
const REFUSED_MS = 30_000;

/** The longest reason, and how many causes it names. Stop a stranger in the place of the server from flooding the logger. */
const REASON_MAX_CHARACTERS = 500;
const CAUSES_MAX_LEVELS = 4;

export interface AvailabilityOptions {
  /** The name of the server in log lines. */
  readonly server: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  /** Called when it is time for another attempt. */
  readonly connect: () => void;
}

/** Whether a bus can use its server. It tells the logger of each change, and says when to try again. */
export class Availability {
  readonly #server: string;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #connect: () => void;
  #isConnected = false;
  #connectedAt = 0;
  #failures = 0;
  #retry: Timer | undefined;
  /** The server answers, but does not let us publish. */
  #isRefused = false;
  /** Ends the refusal. */
  #refusal: Timer | undefined;
  /** The state in the last log line. */
  #loggedState: BusState | undefined;
  #isClosed = false;

  constructor({ server, clock, logger, connect }: AvailabilityOptions) {
    this.#server = server;
    this.#clock = clock;
    this.#logger = logger;
    this.#connect = connect;
  }

  get state(): BusState {
    return this.#isConnected && !this.#isRefused ? 'up' : 'degraded';
  }

  connected(): void {
    this.#isConnected = true;
    this.#connectedAt = this.#clock.monotonic();
    this.#endRefusal();
  }

  /** The connection is lost, or an attempt has failed. The next attempt is scheduled. */
  lost(error: unknown): void {
    if (this.#isConnected) {
      this.#isConnected = false;
      if (this.#clock.monotonic() - this.#connectedAt >= STEADY_MS) this.#failures = 0;
    }
    if (this.#isClosed) return;
    this.#logState(error ?? new Error('the connection was closed'));
    const most = Math.min(RECONNECT_FIRST_MS * 2 ** this.#failures++, RECONNECT_MAX_MS);
    this.#retry = this.#clock.after(most * (1 - Math.random() / 2), this.#connect);
  }

  /** The server refuses a publish. */
  refused(error: unknown): void {
    this.#isRefused = true;
    this.#refusal?.cancel();
    this.#refusal = this.#clock.after(REFUSED_MS, () => this.#endRefusal());
    this.#logState(error);
  }

  close(): void {
    this.#isClosed = true;
    this.#isConnected = false;
    this.#retry?.cancel();
    this.#refusal?.cancel();
  }

  #endRefusal(): void {
    this.#refusal?.cancel();
    this.#isRefused = false;
    this.#logState();
  }

  /** Logs once that the server went away and once that it came back, however many attempts lie between. */
  #logState(error?: unknown): void {
    const { state } = this;
    if (this.#isClosed || state === this.#loggedState) return;
    if (state === 'up') this.#logger.info(`${this.#server} is up: other instances learn of messages at once`);
    else if (error === undefined) return;
    else this.#logger.warn({ reason: reasonOf(error) }, `${this.#server} cannot be used, so this instance is degraded: other instances learn of messages at their next look at the log`);
    this.#loggedState = state;
  }
}

function reasonOf(error: unknown): string {
  const [text, ...causes] = textsOf(error).filter((one) => one !== '');
  return `${text ?? 'an error without a text'}${causes.length === 0 ? '' : ` (${causes.join(': ')})`}`.slice(0, REASON_MAX_CHARACTERS);
}

function textsOf(error: unknown, level = 0): readonly string[] {
  if (!(error instanceof Error)) return [String(error)];
  const cause: unknown = error.cause ?? (error instanceof AggregateError ? error.errors[0] : undefined);
  return [error.message, ...(cause instanceof Error && level < CAUSES_MAX_LEVELS ? textsOf(cause, level + 1) : [])];
}
