import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { BusState } from './bus.ts';

/** The first and the longest wait before reconnecting. Each wait is twice the one before, less a random part of up to half, so that instances do not all connect at once. */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5_000;

/** After a connection that lasted this long, the waits begin anew. Stops connecting in a loop to a server that drops each connection at once. */
const STEADY_MS = 5_000;

/** How long the state is `degraded` after a refusal. Stops the state from flapping when the server refuses only some messages. */
const REFUSED_MS = 30_000;

/** The longest reason in a log line, and how many nested causes it names. Stop a false server from flooding the logger. */
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

/** Keeps whether a bus can use its server, logs each change, and schedules the attempts to reconnect. */
export class Availability {
  readonly #server: string;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #connect: () => void;
  #isConnected = false;
  #connectedAt = 0;
  #failures = 0;
  #retry: Timer | undefined;
  /** Whether the server answers but refuses our publishes. */
  #isRefused = false;
  /** Ends `#isRefused`. */
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

  /** Call it when the connection is lost, or an attempt has failed. Schedules the next attempt. */
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

  /** Call it when the server refuses a publish. */
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

  /** Logs a change of the state once, not each failed attempt. */
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
