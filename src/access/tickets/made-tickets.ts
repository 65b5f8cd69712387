import type { Clock } from '../../runtime/clock.ts';
import { FIRST_USE_MS, type TicketRecord } from '../../store/contracts/ticket-store.ts';

/** The most tickets that are remembered. Each takes less than a kilobyte. Stops a flood of tickets from holding memory. */
const MADE_MAX_TICKETS = 10_000;

/** The most characters of the topics of one. Tickets with more are looked up. */
const TOPICS_MAX_CHARACTERS = 500;

/** The tickets that this instance has made in the last half minute, as they were then. So the first use of a ticket needs no look at its row before it. */
export class MadeTickets {
  readonly #clock: Clock;
  /** In the order of their ends. */
  readonly #made = new Map<string, { readonly record: TicketRecord; readonly ends: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(record: TicketRecord): void {
    this.#letGo();
    if (record.topics.reduce((sum, topic) => sum + topic.length, 0) > TOPICS_MAX_CHARACTERS) return;
    this.#made.set(record.id, { record, ends: this.#clock.monotonic() + FIRST_USE_MS });
  }

  find(id: string): TicketRecord | undefined {
    this.#letGo();
    return this.#made.get(id)?.record;
  }

  /** The ticket was used: its row may have changed. @returns Whether it was remembered. */
  forget(id: string): boolean {
    return this.#made.delete(id);
  }

  #letGo(): void {
    const now = this.#clock.monotonic();
    for (const [id, { ends }] of this.#made) {
      if (ends > now && this.#made.size < MADE_MAX_TICKETS) return;
      this.#made.delete(id);
    }
  }
}
