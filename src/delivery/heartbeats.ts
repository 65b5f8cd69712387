import type { Reader } from './reader.ts';

/**
 * Signs of life for quiet streams, spread out. There are as many slots as ticks between two heartbeats of a stream; each stream has one
 * slot, and each tick serves one. So heartbeats never come in a burst, not even after thousands of streams were opened at once.
 */
export class Heartbeats {
  readonly #slots: Set<Reader>[];
  #nextSlot = 0;
  #tick = 0;

  constructor(ticks: number) {
    this.#slots = Array.from({ length: Math.max(1, Math.round(ticks)) }, () => new Set<Reader>());
  }

  add(reader: Reader): void {
    reader.heartbeatSlot = this.#nextSlot++ % this.#slots.length;
    this.#slots[reader.heartbeatSlot]!.add(reader);
  }

  /** Returns whether the reader was there. */
  delete(reader: Reader): boolean {
    return this.#slots[reader.heartbeatSlot]!.delete(reader);
  }

  /** Serves the next slot. */
  tick(): void {
    for (const reader of this.#slots[this.#tick++ % this.#slots.length]!) reader.beat();
  }

  /** All readers. */
  *[Symbol.iterator](): Iterator<Reader> {
    for (const slot of this.#slots) yield* slot;
  }
}
