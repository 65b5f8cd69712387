import type { LeaseUser } from './lease.ts';

/** One use of a ticket on this instance: the right to have its stream open, until a later use takes the ticket over. Kept by `Tickets`. */
export class TicketHold {
  readonly id: string;
  readonly generation: number;
  /** Whether its client gets a position as soon as the stream begins: then it comes back with one. */
  readonly showsPosition: boolean;
  /** When the database last heard that the stream is open, by the monotonic clock. */
  kept: number;
  #isLost = false;
  #user: Pick<LeaseUser, 'cut'> | undefined;

  constructor({ id, generation, showsPosition, kept }: Pick<TicketHold, 'id' | 'generation' | 'showsPosition' | 'kept'>) {
    this.id = id;
    this.generation = generation;
    this.showsPosition = showsPosition;
    this.kept = kept;
  }

  /** Whether a later use has the ticket. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Whether its stream has begun. */
  get isOpen(): boolean {
    return this.#user !== undefined;
  }

  /** The stream is open. Call it in the turn in which `isLost` was asked. */
  begin(user: Pick<LeaseUser, 'cut'>): void {
    this.#user = user;
  }

  /** A later use has the ticket: the stream ends. */
  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#user?.cut('taken-over');
  }
}
