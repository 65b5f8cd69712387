import type { Clock } from '../runtime/clock.ts';
import { DelayedClose } from './delayed-close.ts';
import { farewell } from './frames/farewell.ts';
import type { BusyReason } from './frames/sse.ts';
import type { Reader } from './reader/reader.ts';
import type { Outlet, StreamOptions } from './reader/stream-socket.ts';

export interface DismissalsOptions {
  readonly clock: Clock;
  /** The bounds of the random reconnection time. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/** Sends clients away: writes `$busy` with a reconnection time, and closes the connection a tick later (delayed-close.ts). */
export class Dismissals {
  readonly #retryMinMs: number;
  readonly #retryMaxMs: number;
  readonly #delayedClose: DelayedClose;
  #isStopped = false;

  constructor({ clock, retryMinMs, retryMaxMs }: DismissalsOptions) {
    this.#retryMinMs = retryMinMs;
    this.#retryMaxMs = retryMaxMs;
    this.#delayedClose = new DelayedClose(clock);
  }

  /** A random reconnection time in milliseconds. Stops clients that were cut together from coming back together. */
  retryMs(): number {
    return Math.round(this.#retryMinMs + Math.random() * (this.#retryMaxMs - this.#retryMinMs));
  }

  /** Dismisses an open stream. */
  dismiss(reader: Reader, reason: BusyReason, retryMs = this.retryMs()): void {
    reader.dismiss(retryMs, reason);
    this.#delayedClose.add(reader);
  }

  /** Dismisses a client whose stream was never opened. */
  refuse(options: StreamOptions, outlet: Outlet, reason: BusyReason): void {
    outlet.write(farewell(options, this.retryMs(), reason));
    if (this.#isStopped) outlet.destroySoon();
    else this.#delayedClose.add(outlet);
  }

  /** Closes the connections of clients that were dismissed before the last tick. */
  tick(): void {
    this.#delayedClose.tick();
  }

  /** Closes all connections of dismissed clients now. There are no further ticks. */
  stop(): void {
    this.#isStopped = true;
    this.#delayedClose.finish();
  }
}
