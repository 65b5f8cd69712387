import type { Clock } from '../runtime/clock.ts';
import { StoreError } from '../store/store.ts';
import { CALL_MAX_WEBHOOKS, KEPT_MAX_ATTEMPTS, type DeliveryNote, type WebhookStore } from '../store/contracts/webhook-store.ts';

/** The pause between two calls of the store. Webhooks that deliver during it share one transaction. */
const NOTE_GATHER_MS = 20;
/** The pause after a call that failed. */
const NOTE_RETRY_MS = 1_000;

export interface NotesDependencies {
  readonly store: Pick<WebhookStore, 'noteDeliveries'>;
  readonly clock: Clock;
}

interface Waiting {
  note: DeliveryNote;
  readonly done: PromiseWithResolvers<boolean>;
}

/** Stores cursors and attempts of webhooks. One call of the store at a time covers all webhooks that have moved. At most one note waits for each webhook: a newer note replaces it. */
export class Notes {
  readonly #store: Pick<WebhookStore, 'noteDeliveries'>;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Waiting>();
  #isCalling = false;

  constructor({ store, clock }: NotesDependencies) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Resolves when the note is durable. Resolves with false if another owner has a newer fence: then nothing was stored. */
  note(note: DeliveryNote): Promise<boolean> {
    const waiting = this.#waiting.get(note.id);
    const isSame = waiting?.note.fence === note.fence;
    if (waiting !== undefined && isSame) {
      waiting.note = { ...note, attempts: [...waiting.note.attempts, ...note.attempts].slice(-KEPT_MAX_ATTEMPTS) };
      return waiting.done.promise;
    }
    // The waiting note has an older fence, so the store would refuse it.
    waiting?.done.resolve(false);
    const done = Promise.withResolvers<boolean>();
    this.#waiting.set(note.id, { note, done });
    if (!this.#isCalling) void this.#callAll();
    return done.promise;
  }

  async #callAll(): Promise<void> {
    this.#isCalling = true;
    while (this.#waiting.size > 0) {
      const some = [...this.#waiting.values()].slice(0, CALL_MAX_WEBHOOKS);
      for (const { note } of some) this.#waiting.delete(note.id);
      await this.#pause(await this.#call(some) ? NOTE_GATHER_MS : NOTE_RETRY_MS);
    }
    this.#isCalling = false;
  }

  async #call(some: readonly Waiting[]): Promise<boolean> {
    try {
      const accepted = new Set(await this.#store.noteDeliveries(some.map(({ note }) => note)));
      for (const { note, done } of some) done.resolve(accepted.has(note.id));
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // Invariant 13: the store refused because of one note. Call for each alone, so that the other cursors move.
      if (error.kind === 'refused') return this.#callEach(some);
      // The notes may be stored. To store them again is harmless: only the list of attempts has some twice.
      for (const one of some) this.#putBack(one);
      return false;
    }
  }

  async #callEach(some: readonly Waiting[]): Promise<boolean> {
    if (some.length === 1) {
      some[0]!.done.resolve(false);
      return true;
    }
    for (const one of some) if (!await this.#call([one])) return false;
    return true;
  }

  /** Puts a failed note back, or merges it into a newer note that waits. */
  #putBack(failed: Waiting): void {
    const later = this.#waiting.get(failed.note.id);
    if (later === undefined) {
      this.#waiting.set(failed.note.id, failed);
      return;
    }
    if (later.note.fence !== failed.note.fence) failed.done.resolve(false);
    else {
      later.note = { ...later.note, attempts: [...failed.note.attempts, ...later.note.attempts].slice(-KEPT_MAX_ATTEMPTS) };
      void later.done.promise.then(failed.done.resolve);
    }
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(milliseconds, resolve));
  }
}
