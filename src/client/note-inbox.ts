import type { LeaderNote } from './shared-notes.ts';

/** The most notes that wait while history is read. Stops a long replay from filling the memory: beyond it the notes are dropped, and read as history. */
const HELD_MAX_ENTRIES = 1_000;

/** The queue of the leader's notes. */
export class NoteInbox {
  #waiting: LeaderNote[] = [];
  #isOver = false;
  #wake: () => void = () => undefined;

  push(note: LeaderNote): void {
    // The reader notices the drop: `frames` of the next note jumps.
    if (this.#waiting.length >= HELD_MAX_ENTRIES) this.#waiting = [];
    this.#waiting.push(note);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  /** Resolves with the next note, or with undefined once the inbox has ended. */
  async next(): Promise<LeaderNote | undefined> {
    while (this.#waiting.length === 0 && !this.#isOver) await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return this.#isOver ? undefined : this.#waiting.shift();
  }
}
