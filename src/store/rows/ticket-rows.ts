import { checkDigest, checkVersion, checkWhole, NEVER_MS } from './key-rows.ts';
import { originOf } from './session-rows.ts';
import { CALL_MAX_TICKETS, type KeptTicket, type NewTicket, type TicketOrigin, type TicketRecord, type TicketRenewal, type TicketUse } from '../contracts/ticket-store.ts';

/** A row of `tickets` without `owner`. */
export interface TicketRow {
  readonly id: string;
  readonly generation: number;
  readonly ends: number;
  readonly until: number;
  readonly guarded: number | boolean;
  readonly digest: Uint8Array;
  readonly session: string | null;
  readonly origin: string;
  readonly topics: string;
}

export function ticketRecord({ id, generation, ends, until, guarded, digest, session, origin, topics }: TicketRow): TicketRecord {
  return { id, generation, ends, until: until === NEVER_MS ? undefined : until, isGuarded: Boolean(guarded), digest, session: session ?? undefined, origin: originOf(origin), topics: topicsOf(topics) };
}

/** Reads stored topics. Throws at any other text: it must not give anybody access. */
function topicsOf(text: string): readonly string[] {
  const topics: unknown = JSON.parse(text);
  if (!Array.isArray(topics) || !topics.every((topic) => typeof topic === 'string')) throw new TypeError('the topics of a ticket are not what this program stores');
  return topics;
}

export function checkNewTicket(ticket: NewTicket): void {
  checkDigest(ticket.digest);
  checkTicketOrigin(ticket);
}

function checkTicketOrigin({ origin, until }: TicketOrigin): void {
  checkDigest(origin.proof);
  if (until !== undefined) checkWhole('the end of a credential', until, 0, NEVER_MS);
}

export function checkTicketIds(ids: readonly string[]): void {
  checkWhole('the number of tickets', ids.length, 0, CALL_MAX_TICKETS);
}

export function checkUses(uses: readonly TicketUse[]): void {
  const ids = uses.map(({ id }) => id);
  checkTicketIds(ids);
  const repeated = ids.length - new Set(ids).size;
  checkWhole('the number of uses of one ticket', 1 + repeated, 1, 1);
  for (const { digest } of uses) checkDigest(digest);
}

export function checkKept(kept: readonly KeptTicket[]): void {
  checkTicketIds(kept.map(({ id }) => id));
  for (const { generation } of kept) checkVersion(generation);
}

export function checkRenewal(renewal: TicketRenewal): void {
  checkVersion(renewal.generation);
  checkTicketOrigin(renewal);
}
