import type { Clock } from '../runtime/clock.ts';
import { InTurns } from '../runtime/in-turns.ts';

/** How long one turn of the event loop calls `destroySoon`. Stops a turn from becoming long: the connections also end in that turn, which takes several times as long. */
const CLOSE_TURN_MS = 0.5;

/** A connection on which the last frame of a stream has been written. */
export interface Closing {
  destroySoon(): void;
}

/**
 * Closes connections one to two ticks after their last frame (`$busy`). When a connection ends without the last chunk, Chromium drops bytes that its page has not read
 * yet. If connections were closed at once, up to a third of all `$busy` frames, with their reconnection times, would never reach the page.
 */
export class DelayedClose {
  /** Connections that were added since the last tick. */
  #added: Closing[] = [];
  /** Connections that the next tick closes. */
  #due: Closing[] = [];
  /** Spreads closes over several turns of the event loop, because closing a thousand connections takes a tenth of a second. */
  readonly #turns: InTurns;

  constructor(clock: Clock) {
    this.#turns = new InTurns(clock, CLOSE_TURN_MS);
  }

  add(closing: Closing): void {
    this.#added.push(closing);
  }

  tick(): void {
    this.#turns.forEach(this.#due, (closing) => closing.destroySoon());
    this.#due = this.#added;
    this.#added = [];
  }

  /** Closes all connections now. */
  finish(): void {
    this.tick();
    this.tick();
    this.#turns.finish();
  }
}
