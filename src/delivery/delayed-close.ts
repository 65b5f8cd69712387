import type { Clock } from '../runtime/clock.ts';
import { InTurns } from '../runtime/in-turns.ts';

/** How long one turn of the event loop closes connections. Each then ends in that turn, which takes several times as long. */
const CLOSE_TURN_MS = 0.5;

/** A connection on which the last frame of a stream has been written. */
export interface Closing {
  destroySoon(): void;
}

/**
 * Closes connections after their last frame (`$busy`), but not at once: one tick later. When a connection ends without the last chunk, Chromium
 * throws away what its page has not read yet. Closed at once, up to a third of all `$busy` frames never arrived, and with them the time to
 * come back. How long the connections stay bounds how many there are.
 */
export class DelayedClose {
  /** Added since the last tick, and during the tick before. */
  #added: Closing[] = [];
  #due: Closing[] = [];
  /** Closing a thousand connections takes a tenth of a second. */
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

  /** Closes all of them. */
  finish(): void {
    this.tick();
    this.tick();
    this.#turns.finish();
  }
}
