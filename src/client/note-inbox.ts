import type { LeaderNote } from './shared-notes.ts';

/** How many notes wait while history is read. Stops a long replay from filling the memory: those beyond are dropped, and read as history. */
const HELD_MAX_ENTRIES = 1_000;

/** What the leader has told, one after the other. */
export class NoteInbox {
  #waiting: LeaderNote[] = [];
  #isOver = false;
  #wake: () => void = () => undefined;

  push(note: LeaderNote): void {
    // The last one has a number by which it is noticed that some are missing.
    if (this.#waiting.length >= HELD_MAX_ENTRIES) this.#waiting = [];
    this.#waiting.push(note);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  /** Resolves with nothing once it has ended. */
  async next(): Promise<LeaderNote | undefined> {
    while (this.#waiting.length === 0 && !this.#isOver) await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return this.#isOver ? undefined : this.#waiting.shift();
  }
}
