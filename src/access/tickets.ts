import type { ControlChannel } from '../bus/control-channel.ts';
import { Problem } from '../model/problem.ts';
import { Batches } from '../runtime/batches.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { ANYBODY, type Holder } from '../runtime/fair-shares.ts';
import { LineWindow } from '../runtime/line-window.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError } from '../store/store.ts';
import { CALL_MAX_TICKETS, ENDED_BY_ADMINISTRATOR, type TicketRecord, type TicketStore, type TicketUse, type UsedTicket } from '../store/ticket-store.ts';
import type { ShownTicket } from './identity.ts';
import { CredentialsUnavailable, inTime } from './credentials-unavailable.ts';
import { MadeTickets } from './made-tickets.ts';
import { TicketHold } from './ticket-hold.ts';

/**
 * How often the database records that a stream is open. After the first record, only a client that shows a position of the log may take its ticket over. Before that its own client may have
 * none: the first opening may have failed on its way. Milliseconds.
 */
const KEEP_MS = 30_000;

/** How often to look for streams that are due for that, if polls are rarer. Stops rare polls from letting tickets of open streams end. Milliseconds. */
const KEEP_LOOK_MS = 5_000;

/** The kind of a note that says which tickets were used again. */
const KIND = 'tickets-used';

export interface Opening {
  /** Whether the client shows a position of this log. */
  readonly hasPosition: boolean;
  /** Whether the stream tells its client a position as soon as it begins. */
  readonly showsPosition: boolean;
}

/** The tasks that repeat while there are holds. */
type Task = 'look' | 'keep';

/** News about a ticket that came while a use of it was under way. */
interface UnderWay {
  uses: number;
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
 * The tickets in use on this instance. A ticket opens one stream at a time: its latest use has it, and the stream of the use before ends, on whichever instance. The database says which use
 * is later. The bus tells the other instances; without it they learn it by polling.
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
  /** All uses up to this generation are known here. */
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

  /** This instance has just made a ticket. */
  made(record: TicketRecord): void {
    this.#made.add(record);
  }

  /** The row of a ticket, or its state before the first use. Rejects with `CredentialsUnavailable`. */
  find(id: string, from = (): Holder => ANYBODY): Promise<TicketRecord | undefined> {
    const made = this.#made.find(id);
    return made === undefined ? inTime(this.#clock, 'tickets', this.#finds.ask(id, from())) : Promise.resolve(made);
  }

  /**
   * Uses a ticket for a stream that is about to begin. The caller releases the hold.
   * @throws Problem `invalid-credential` where the ticket has ended, or a position is missing
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
      // Another instance has used it, and may have renewed it since: the client comes back, and its row is read.
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

  /** The stream has ended, or does not begin. */
  release(hold: TicketHold): void {
    if (this.#holds.get(hold.id) === hold) this.#holds.delete(hold.id);
  }

  /**
   * Ends a ticket for good, and its stream. A client that shows the ticket again is told not to come back, while its row exists.
   * @returns False where another use has it. Rejects with a `StoreError`.
   */
  async end({ id, generation }: Pick<TicketHold, 'id' | 'generation'>): Promise<boolean> {
    const [ticket] = await this.#store.findTickets([id]);
    if (ticket?.generation !== generation) return false;
    // An instance that has made it does not look at the database before its first use.
    this.#made.forget(id);
    this.#control.tell(KIND, [[id, generation]]);
    return this.#store.renewTicket({ id, generation, origin: ticket.origin, session: ENDED_BY_ADMINISTRATOR, until: ticket.until });
  }

  /** Looks now which tickets were used: a note about them may have come that could not be checked. Rejects with a `StoreError`. */
  async look(): Promise<void> {
    if (this.#holds.size > 0) await this.#look();
  }

  #refused(id: string): Problem {
    const omitted = this.#refusals.admit(id);
    if (omitted !== undefined) this.#logger.info({ audit: 'ticket-refused', ticket: id, ...(omitted === 0 ? {} : { omitted }) }, 'a ticket was refused: it has ended, or its stream was open and no Last-Event-ID of this log came with it');
    return new Problem('invalid-credential', 'The credential is not good: the ticket has ended, or its stream was open and no Last-Event-ID of this log came with it.', { field: 'ticket' });
  }

  #hold(hold: TicketHold): void {
    // Earlier uses do not matter: this instance holds no ticket.
    if (this.#holds.size === 0) this.#newest = hold.generation;
    this.#usedLater(hold.id, hold.generation);
    this.#holds.set(hold.id, hold);
    // A poll need not bring this one.
    if (hold.generation === this.#newest + 1) this.#newest = hold.generation;
    this.#schedule();
  }

  /** A use has the ticket: one with an earlier generation, if it is here, has lost it. */
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

  /** Keeps timers while there are holds. */
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

  /** Looks which tickets were used since the last look. */
  async #look(): Promise<void> {
    for (;;) {
      const after = this.#newest;
      const { newest, uses } = await this.#store.ticketUses(after);
      for (const { id, generation } of uses) this.#usedLater(id, generation);
      // A hold that began meanwhile, as the first one, knows better.
      if (this.#newest === after) this.#newest = uses.at(-1)?.generation ?? newest;
      if (uses.length < CALL_MAX_TICKETS) return;
    }
  }

  /** Says which streams are still open. Where the database does not answer, the next poll says it. */
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
