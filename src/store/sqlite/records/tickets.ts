import type Database from 'better-sqlite3';
import { checkVersion, DIGEST_BYTES, NEVER_MS } from '../../rows/key-rows.ts';
import { requireLevel } from '../../level.ts';
import { idTaken, originText, ownerOf } from '../../rows/session-rows.ts';
import { checkKept, checkNewTicket, checkRenewal, checkTicketIds, checkUses, ticketRecord, type TicketRow } from '../../rows/ticket-rows.ts';
import {
  CALL_MAX_TICKETS, DELETE_MAX_TICKETS, FIRST_USE_MS, KEPT_ENDED_TICKETS_MS, MAX_TICKETS, OWNER_MAX_TICKETS, RETURN_MS, TICKETS_LEVEL,
  type KeptTicket, type NewTicket, type TicketRecord, type TicketRenewal, type TicketStore, type TicketUse, type TicketUses, type UsedTicket,
} from '../../contracts/ticket-store.ts';
import { ownCopyOf } from './key-store.ts';
import type { LogStateQuery } from '../files/log-state.ts';
import type { TooLow } from './sessions.ts';
import type { CallEffects, CallTable, PerformCall } from './side-call.ts';

/** Uses of tickets. One array with all digests crosses to a worker much faster than an array for each. */
interface PackedUses {
  readonly ids: readonly string[];
  readonly digests: Uint8Array;
  readonly havePositions: readonly boolean[];
}

/** The calls of `TicketStore`. */
export interface TicketCalls {
  findTickets: { argument: { readonly ids: readonly string[] }; answer: readonly TicketRecord[] };
  createTicket: { argument: NewTicket; answer: TicketRecord | TooLow | undefined };
  useTickets: { argument: PackedUses; answer: readonly number[] };
  keepTickets: { argument: { readonly kept: readonly KeptTicket[] }; answer: void };
  ticketUses: { argument: { readonly after: number }; answer: TicketUses };
  renewTicket: { argument: TicketRenewal; answer: boolean };
}

export const TICKET_EFFECTS: CallEffects<TicketCalls> = {
  findTickets: 'read',
  ticketUses: 'read',
  createTicket: 'commit',
  useTickets: 'commit',
  keepTickets: 'write',
  renewTicket: 'commit',
};

export interface TicketsDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Reads and changes tickets, inside the caller's transaction. */
export class Tickets implements CallTable<TicketCalls> {
  readonly #logState: LogStateQuery;
  readonly #newest: Database.Statement<[], number>;
  readonly #takeGenerations: Database.Statement<[number], number>;
  readonly #held: Database.Statement<[], number>;
  readonly #count: Database.Statement<[number]>;
  readonly #uses: Database.Statement<[number, number], { readonly id: string; readonly generation: number }>;
  readonly #find: Database.Statement<[string], TicketRow>;
  readonly #usable: Database.Statement<[string, number, number], Pick<TicketRow, 'generation' | 'digest'>>;
  readonly #liveOf: Database.Statement<[string, number, number], number>;
  readonly #create: Database.Statement<unknown[]>;
  readonly #deleteEnded: Database.Statement<[number, number]>;
  readonly #deleteUnused: Database.Statement<[number, number]>;
  readonly #use: Database.Statement<[number, number, string]>;
  readonly #keep: Database.Statement<[number, number, string, number]>;
  readonly #renew: Database.Statement<unknown[]>;

  constructor({ db, logState }: TicketsDependencies) {
    this.#logState = logState;
    this.#newest = db.prepare<[], number>('SELECT generation FROM ticket_state').pluck();
    this.#takeGenerations = db.prepare<[number], number>('UPDATE ticket_state SET generation = generation + ? RETURNING generation').pluck();
    this.#held = db.prepare<[], number>('SELECT held FROM ticket_state').pluck();
    this.#count = db.prepare('UPDATE ticket_state SET held = held + ?');
    this.#uses = db.prepare('SELECT id, generation FROM tickets WHERE generation > ? ORDER BY generation LIMIT ?');
    this.#find = db.prepare('SELECT id, generation, ends, until, guarded, digest, session, origin, topics FROM tickets WHERE id = ?');
    this.#usable = db.prepare('SELECT generation, digest FROM tickets WHERE id = ? AND ends > ? AND guarded <= ?');
    this.#liveOf = db.prepare<[string, number, number], number>('SELECT count(*) FROM (SELECT 1 FROM tickets WHERE owner = ? AND ends > ? LIMIT ?)').pluck();
    this.#create = db.prepare('INSERT INTO tickets (id, generation, ends, until, guarded, digest, owner, session, origin, topics) VALUES (?, 0, ?, ?, 0, ?, ?, ?, ?, ?)');
    this.#deleteEnded = db.prepare('DELETE FROM tickets WHERE id IN (SELECT id FROM tickets WHERE ends <= ? ORDER BY ends LIMIT ?)');
    // The index has the tickets of a generation in the order of their creation, so the first `LIMIT` unused tickets end first.
    this.#deleteUnused = db.prepare('DELETE FROM tickets WHERE id IN (SELECT id FROM (SELECT id, ends FROM tickets WHERE generation = 0 LIMIT ?) WHERE ends <= ?)');
    this.#use = db.prepare('UPDATE tickets SET generation = ?, ends = min(until, ?) WHERE id = ?');
    this.#keep = db.prepare('UPDATE tickets SET ends = min(until, ?), guarded = max(guarded, ?) WHERE id = ? AND generation = ?');
    this.#renew = db.prepare('UPDATE tickets SET ends = min(?, ?), until = ?, session = ?, origin = ? WHERE id = ? AND generation = ?');
  }

  findTickets({ ids }: { readonly ids: readonly string[] }): readonly TicketRecord[] {
    checkTicketIds(ids);
    return [...new Set(ids)].flatMap((id) => this.#find.all(id)).map(ticketRecord);
  }

  createTicket(ticket: NewTicket): TicketRecord | TooLow | undefined {
    checkNewTicket(ticket);
    const { level } = this.#logState.row();
    if (level < TICKETS_LEVEL) return { level };
    const { id, digest, origin, session, until = NEVER_MS, topics } = ticket;
    const known = this.#find.get(id);
    if (known !== undefined) {
      if (Buffer.compare(known.digest, digest) !== 0) throw idTaken('ticket');
      return ticketRecord(known);
    }
    const [now, owner] = [Date.now(), ownerOf(origin)];
    const past = this.#logState.believed();
    const keptMs = this.#held.get()! < MAX_TICKETS ? KEPT_ENDED_TICKETS_MS : 0;
    this.#count.run(-this.#deleteUnused.run(DELETE_MAX_TICKETS, past).changes - this.#deleteEnded.run(past - keptMs, DELETE_MAX_TICKETS).changes);
    if (this.#held.get()! >= MAX_TICKETS || this.#liveOf.get(owner, now, OWNER_MAX_TICKETS)! >= OWNER_MAX_TICKETS) return undefined;
    this.#create.run(id, Math.min(now + FIRST_USE_MS, until), until, digest, owner, session ?? null, originText(origin), JSON.stringify(topics));
    this.#count.run(1);
    return ticketRecord(this.#find.get(id)!);
  }

  /** @returns Two numbers for each use: its generation, and the generation of the use before; 0 and 0 if the use is refused. */
  useTickets({ ids, digests, havePositions }: PackedUses): readonly number[] {
    const now = Date.now();
    const good = ids.map((id, index) => {
      const row = this.#usable.get(id, now, havePositions[index] === true ? 1 : 0);
      return row !== undefined && Buffer.compare(row.digest, digestAt(digests, index)) === 0 ? row : undefined;
    });
    const count = good.filter((row) => row !== undefined).length;
    let generation = count === 0 ? 0 : this.#takeGenerations.get(count)! - count;
    return good.flatMap((row, index) => {
      if (row === undefined) return [0, 0];
      this.#use.run(++generation, now + RETURN_MS, ids[index]!);
      return [generation, row.generation];
    });
  }

  keepTickets({ kept }: { readonly kept: readonly KeptTicket[] }): void {
    checkKept(kept);
    const ends = Date.now() + RETURN_MS;
    for (const { id, generation, isGuarded } of kept) this.#keep.run(ends, isGuarded ? 1 : 0, id, generation);
  }

  ticketUses({ after }: { readonly after: number }): TicketUses {
    checkVersion(after);
    return { newest: this.#newest.get()!, uses: this.#uses.all(after, CALL_MAX_TICKETS) };
  }

  renewTicket(renewal: TicketRenewal): boolean {
    checkRenewal(renewal);
    const { id, generation, origin, session, until = NEVER_MS } = renewal;
    return this.#renew.run(until, Date.now() + RETURN_MS, until, session ?? null, originText(origin), id, generation).changes > 0;
  }
}

function digestAt(digests: Uint8Array, index: number): Uint8Array {
  return digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
}

/** The main thread's end: turns each method into a call of `Tickets`. */
export class SqliteTicketStore implements TicketStore {
  readonly #call: PerformCall<TicketCalls>;

  constructor(call: PerformCall<TicketCalls>) {
    this.#call = call;
  }

  findTickets(ids: readonly string[]): Promise<readonly TicketRecord[]> {
    return this.#call('findTickets', { ids });
  }

  async createTicket({ id, digest, origin, session, until, topics }: NewTicket): Promise<TicketRecord | undefined> {
    const answer = await this.#call('createTicket', { id, digest: ownCopyOf(digest), origin: { ...origin, proof: ownCopyOf(origin.proof) }, session, until, topics });
    if (answer === undefined || !('level' in answer)) return answer;
    requireLevel(answer.level, TICKETS_LEVEL);
    throw new Error(`Level ${answer.level} is high enough`);
  }

  async useTickets(uses: readonly TicketUse[]): Promise<readonly (UsedTicket | undefined)[]> {
    checkUses(uses);
    const digests = new Uint8Array(uses.length * DIGEST_BYTES);
    for (const [index, { digest }] of uses.entries()) digests.set(digest, index * DIGEST_BYTES);
    const used = await this.#call('useTickets', { ids: uses.map(({ id }) => id), digests, havePositions: uses.map(({ hasPosition }) => hasPosition) });
    return uses.map((_use, index) => used[2 * index] === 0 ? undefined : { generation: used[2 * index]!, before: used[2 * index + 1]! });
  }

  keepTickets(kept: readonly KeptTicket[]): Promise<void> {
    return this.#call('keepTickets', { kept });
  }

  ticketUses(after: number): Promise<TicketUses> {
    return this.#call('ticketUses', { after });
  }

  renewTicket({ id, generation, origin, session, until }: TicketRenewal): Promise<boolean> {
    return this.#call('renewTicket', { id, generation, origin: { ...origin, proof: ownCopyOf(origin.proof) }, session, until });
  }
}
