import type { ControlChannel } from '../../bus/control-channel.ts';
import { Problem } from '../../model/problem.ts';
import { Batches } from '../../runtime/sharing/batches.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { type Holder, UNNAMED } from '../../runtime/sharing/fair-shares.ts';
import { LineWindow } from '../../runtime/logging/line-window.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError } from '../../store/store.ts';
import { CALL_MAX_TICKETS, ENDED_BY_ADMINISTRATOR, type TicketRecord, type TicketStore, type TicketUse, type UsedTicket } from '../../store/contracts/ticket-store.ts';
import type { ShownTicket } from '../credentials/identity.ts';
import { CredentialsUnavailable, inTime } from '../records/credentials-unavailable.ts';
import { MadeTickets } from './made-tickets.ts';
import { TicketHold } from '../leases/ticket-hold.ts';

/**
 * How often the database records that a ticket's stream is open. Milliseconds. After the first record, only a client that shows a position may take the ticket over. Before,
 * the ticket's own client may have none, because its first response may have been lost.
 */
const KEEP_MS = 30_000;

/** How often to look for streams that are due for such a record, at least. Milliseconds. Stops rare polls from letting the tickets of open streams end. */
const KEEP_LOOK_MS = 5_000;

/** The kind of the control note that names tickets used again. */
const KIND = 'tickets-used';

export interface Opening {
  /** Whether the client shows a position of this log. */
  readonly hasPosition: boolean;
  /** As in `TicketHold`. */
  readonly showsPosition: boolean;
}

/** The tasks that repeat while this instance has holds: `look` for later uses, and `keep` tickets of open streams alive. */
type Task = 'look' | 'keep';

/** A ticket that the database is being asked to use. */
interface UnderWay {
  /** How many such calls are under way. */
  uses: number;
  /** The latest generation of the ticket that this instance has heard of meanwhile. */
  newest: number;
}

export interface TicketsDependencies {
  readonly store: TicketStore;
  readonly control: Pick<ControlChannel, 'tell' | 'answer'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly pollMs: number;
  readonly counters: Pick<Counters, 'evicted'>;
}

/**
 * The tickets in use on this instance. A ticket opens one stream at a time: a later use takes the ticket over, and ends the earlier use's stream on any instance.
 *
 * The database numbers the uses of all tickets of the log with one counter, the generation. Other instances learn of a use by the bus, or else by polling.
 */
export class Tickets {
  readonly #store: TicketStore;
  readonly #control: TicketsDependencies['control'];
  readonly #clock: Clock;
  readonly #logger: TicketsDependencies['logger'];
  readonly #pollMs: number;
  readonly #finds: Batches<string, TicketRecord | undefined>;
  readonly #uses: Batches<TicketUse, UsedTicket | undefined>;
  readonly #holds = new Map<string, TicketHold>();
  readonly #underWay = new Map<string, UnderWay>();
  readonly #refusals = new LineWindow();
  readonly #made: MadeTickets;
  /** This instance knows all uses of its tickets up to this generation. */
  #newest = 0;
  readonly #repeating = new Set<Task>();
  readonly #failing = new Set<Task>();

  constructor({ store, control, clock, logger, pollMs, counters }: TicketsDependencies) {
    this.#store = store;
    this.#control = control;
    this.#clock = clock;
    this.#logger = logger;
    this.#pollMs = pollMs;
    this.#made = new MadeTickets(clock);
    const tooMany = (): Error => new CredentialsUnavailable('too many tickets are being looked up');
    this.#finds = new Batches({ clock, counters, gate: 'tickets', call: (ids) => this.#find(ids), max: CALL_MAX_TICKETS, keyOf: (id) => id, isShared: true, tooMany });
    this.#uses = new Batches({ clock, counters, gate: 'tickets', call: (uses) => this.#useAll(uses), max: CALL_MAX_TICKETS, keyOf: ({ id }) => id, isShared: false, tooMany });
    control.answer(KIND, (body) => this.#told(body));
  }

  /** Remembers a ticket that this instance has just made. */
  made(record: TicketRecord): void {
    this.#made.add(record);
  }

  /** The row of a ticket, or its state before the first use. Rejects with `CredentialsUnavailable`. */
  find(id: string, from = (): Holder => UNNAMED): Promise<TicketRecord | undefined> {
    const made = this.#made.find(id);
    return made === undefined ? inTime(this.#clock, 'tickets', this.#finds.ask(id, from())) : Promise.resolve(made);
  }

  /**
   * Uses a ticket for a stream that is about to begin. The caller must release the hold.
   * @throws Problem `invalid-credential` if the ticket has ended, or if the client must show a position and has none
   * @throws CredentialsUnavailable
   */
  async use({ id, digest }: ShownTicket, { hasPosition, showsPosition }: Opening, holder?: Holder): Promise<TicketHold> {
    const underWay = this.#underWay.get(id) ?? { uses: 0, newest: 0 };
    this.#underWay.set(id, underWay);
    underWay.uses++;
    try {
      const isRemembered = this.#made.forget(id);
      const used = await this.#uses.ask({ id, digest, hasPosition }, holder);
      if (used === undefined) throw this.#refused(id);
      // Another instance has used the ticket, and may have renewed it: let the client come back, so that `find` reads the row.
      if (isRemembered && used.before !== 0) throw new CredentialsUnavailable('the ticket was used on another instance');
      const hold = new TicketHold({ id, generation: used.generation, showsPosition, kept: this.#clock.monotonic() });
      if (underWay.newest > hold.generation) hold.lose();
      else this.#hold(hold);
      return hold;
    } finally {
      underWay.uses--;
      if (underWay.uses === 0) this.#underWay.delete(id);
    }
  }

  /** Forgets the hold of a stream that has ended or did not begin. */
  release(hold: TicketHold): void {
    if (this.#holds.get(hold.id) === hold) this.#holds.delete(hold.id);
  }

  /**
   * Ends a ticket for good; the caller closes the stream. While the database has the ticket's row, a client that shows the ticket is told not to come back.
   * @returns False if a later use has the ticket. Rejects with a `StoreError`.
   */
  async end({ id, generation }: Pick<TicketHold, 'id' | 'generation'>): Promise<boolean> {
    const [ticket] = await this.#store.findTickets([id]);
    if (ticket?.generation !== generation) return false;
    // The instance that made a ticket answers from memory until the first use: make it forget the ticket.
    this.#made.forget(id);
    this.#control.tell(KIND, [[id, generation]]);
    return this.#store.renewTicket({ id, generation, origin: ticket.origin, session: ENDED_BY_ADMINISTRATOR, until: ticket.until });
  }

  /** Reads the latest uses now, as after a note that this instance could not check. Rejects with a `StoreError`. */
  async look(): Promise<void> {
    if (this.#holds.size > 0) await this.#look();
  }

  #refused(id: string): Problem {
    const omitted = this.#refusals.admit(id);
    if (omitted !== undefined) this.#logger.info({ audit: 'ticket-refused', ticket: id, ...(omitted === 0 ? {} : { omitted }) }, 'a ticket was refused: it has ended, or its stream was open and no Last-Event-ID of this log came with it');
    return new Problem('invalid-credential', 'The credential is not good: the ticket has ended, or its stream was open and no Last-Event-ID of this log came with it.', { field: 'ticket' });
  }

  #hold(hold: TicketHold): void {
    // Without other holds, earlier uses do not matter to this instance.
    if (this.#holds.size === 0) this.#newest = hold.generation;
    this.#usedLater(hold.id, hold.generation);
    this.#holds.set(hold.id, hold);
    // The next poll can skip this use, if no other use comes before it.
    if (hold.generation === this.#newest + 1) this.#newest = hold.generation;
    this.#schedule();
  }

  /** Takes note of a use. A hold of an earlier generation loses the ticket. */
  #usedLater(id: string, generation: number): void {
    const underWay = this.#underWay.get(id);
    if (underWay !== undefined) underWay.newest = Math.max(underWay.newest, generation);
    this.#made.forget(id);
    const hold = this.#holds.get(id);
    if (hold === undefined || hold.generation >= generation) return;
    this.#holds.delete(id);
    if (hold.isOpen) this.#logger.info({ audit: 'ticket-taken-over', ticket: id }, 'a ticket was used again while its stream was open: that stream ends');
    hold.lose();
  }

  async #find(ids: readonly string[]): Promise<readonly (TicketRecord | undefined)[]> {
    const found = new Map((await this.#store.findTickets(ids)).map((record) => [record.id, record]));
    return ids.map((id) => found.get(id));
  }

  async #useAll(uses: readonly TicketUse[]): Promise<readonly (UsedTicket | undefined)[]> {
    const used = await orUnavailable(this.#store.useTickets(uses));
    const again = uses.flatMap(({ id }, index) => {
      const { generation, before } = used[index] ?? { generation: 0, before: 0 };
      return before === 0 ? [] : [[id, generation] as const];
    });
    if (again.length > 0) this.#control.tell(KIND, again);
    return used;
  }

  #told(body: unknown): undefined {
    if (!Array.isArray(body)) return undefined;
    for (const use of body as readonly unknown[]) {
      const [id, generation] = Array.isArray(use) ? use as readonly unknown[] : [];
      if (typeof id === 'string' && typeof generation === 'number') this.#usedLater(id, generation);
    }
    return undefined;
  }

  /** Keeps both timers running while there are holds. */
  #schedule(): void {
    this.#repeat('look', this.#pollMs);
    this.#repeat('keep', Math.min(this.#pollMs, KEEP_LOOK_MS));
  }

  #repeat(task: Task, everyMs: number): void {
    if (this.#repeating.has(task)) return;
    this.#repeating.add(task);
    this.#clock.after(everyMs, () => void this.#again(task, everyMs));
  }

  async #again(task: Task, everyMs: number): Promise<void> {
    if (this.#holds.size > 0) await this.#try(task);
    this.#repeating.delete(task);
    if (this.#holds.size > 0) this.#repeat(task, everyMs);
  }

  async #try(task: Task): Promise<void> {
    try {
      await (task === 'look' ? this.#look() : this.#keep());
      this.#failing.delete(task);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#failing.has(task)) this.#logger.warn({ err: error }, task === 'look' ? 'the database cannot be asked which tickets were used: their streams stay open' : 'the database cannot record which streams of tickets are open: this instance tries again');
      this.#failing.add(task);
    }
  }

  /** Reads the uses since the last look. */
  async #look(): Promise<void> {
    for (;;) {
      const after = this.#newest;
      const { newest, uses } = await this.#store.ticketUses(after);
      for (const { id, generation } of uses) this.#usedLater(id, generation);
      // If the first hold began during the call, it has set `#newest` to a later generation.
      if (this.#newest === after) this.#newest = uses.at(-1)?.generation ?? newest;
      if (uses.length < CALL_MAX_TICKETS) return;
    }
  }

  /** Records which streams are still open. If the database does not answer, the next run repeats the record. */
  async #keep(): Promise<void> {
    const now = this.#clock.monotonic();
    const due = [...this.#holds.values()].filter(({ kept }) => now - kept >= KEEP_MS);
    for (let at = 0; at < due.length; at += CALL_MAX_TICKETS) {
      const some = due.slice(at, at + CALL_MAX_TICKETS);
      await this.#store.keepTickets(some.map(({ id, generation, showsPosition }) => ({ id, generation, isGuarded: showsPosition })));
      for (const hold of some) hold.kept = now;
    }
  }
}

async function orUnavailable<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof StoreError ? new CredentialsUnavailable(`the database cannot be asked for tickets: ${error.message}`, { cause: error }) : error;
  }
}
