import { checkVersion, NEVER_MS } from '../../rows/key-rows.ts';
import { requireLevel } from '../../level.ts';
import { idTaken, originText, ownerOf } from '../../rows/session-rows.ts';
import { checkKept, checkNewTicket, checkRenewal, checkTicketIds, checkUses, ticketRecord } from '../../rows/ticket-rows.ts';
import {
  CALL_MAX_TICKETS, DELETE_MAX_TICKETS, FIRST_USE_MS, KEPT_ENDED_TICKETS_MS, MAX_TICKETS, OWNER_MAX_TICKETS, RETURN_MS, TICKETS_LEVEL,
  type KeptTicket, type NewTicket, type TicketRecord, type TicketRenewal, type TicketStore, type TicketUse, type TicketUses, type UsedTicket,
} from '../../contracts/ticket-store.ts';
import { BELIEVED, isNewest, LEVEL, lockOf, LOST_MAX_VERSIONS, newestOf, NOW, STANDBY } from '../connection/expressions.ts';
import { digestIn, flagIn, listIn, numberIn, partsOf, textIn, textOrNull } from '../connection/json-values.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import type { Row } from '../connection/connection.ts';
import { booleans, bytea, literal, literalOrNull, numbers, strings, wholeNumber } from '../connection/literals.ts';

/** SQL: the `TicketRow` of a row `t` as a JSON array, which `ticketIn` reads. */
const TICKET = "json_build_array(t.id, t.generation, t.ends, t.until, t.guarded, encode(t.digest, 'hex'), t.session, t.origin, t.topics)";

const STATE = newestOf('ticket_state');
const LOCK = lockOf('ticket_state');

/** Makes SQL of each method of `TicketStore`, and reads its answer. */
export class PostgresTicketStore implements TicketStore {
  readonly #use: () => PgConnections;

  /** @param use Throws while the store is not open. */
  constructor(use: () => PgConnections) {
    this.#use = use;
  }

  async findTickets(ids: readonly string[]): Promise<readonly TicketRecord[]> {
    checkTicketIds(ids);
    return this.#use().glance(`SELECT (SELECT json_agg(${TICKET}) FROM tidings.tickets t WHERE t.id = ANY (${strings(ids)})), ${STANDBY}`, ([row]) => listIn(row![0]).map(ticketIn));
  }

  async createTicket(ticket: NewTicket): Promise<TicketRecord | undefined> {
    checkNewTicket(ticket);
    return this.#use().change(createCall(ticket), ([row]) => madeIn(row!));
  }

  async useTickets(uses: readonly TicketUse[]): Promise<readonly (UsedTicket | undefined)[]> {
    checkUses(uses);
    return this.#use().change(useCall(uses), ([row]) => usedIn(row!, uses));
  }

  async keepTickets(kept: readonly KeptTicket[]): Promise<void> {
    checkKept(kept);
    await this.#use().change(keepCall(kept), () => undefined);
  }

  async ticketUses(after: number): Promise<TicketUses> {
    checkVersion(after);
    return this.#use().glance(`SELECT s.generation, (
        SELECT json_agg(json_build_array(t.id, t.generation) ORDER BY t.generation) FROM (SELECT id, generation FROM tidings.tickets WHERE generation > ${after} ORDER BY generation LIMIT ${CALL_MAX_TICKETS}) t), ${STANDBY}
      FROM ${STATE} s`, ([row]) => usesIn(row!));
  }

  async renewTicket(renewal: TicketRenewal): Promise<boolean> {
    checkRenewal(renewal);
    return this.#use().change(renewCall(renewal), ([row]) => wholeNumber(row![0]) > 0);
  }
}

/** The clock is computed once, in `past`. If it were joined with the table of tickets, the server would read every row. */
function createCall({ id, digest, origin, session, until = NEVER_MS, topics }: NewTicket): string {
  const owner = literal(ownerOf(origin));
  return `${LOCK}
    WITH past AS MATERIALIZED (SELECT p.now, p.now - CASE WHEN s.held < ${MAX_TICKETS} THEN ${KEPT_ENDED_TICKETS_MS} ELSE 0 END AS kept FROM ${STATE} s, (SELECT ${BELIEVED} AS now) p),
      gone AS (DELETE FROM tidings.tickets WHERE id = ANY (ARRAY(
        (SELECT id FROM tidings.tickets WHERE ends <= (SELECT kept FROM past) ORDER BY ends LIMIT ${DELETE_MAX_TICKETS}) UNION ALL
        SELECT id FROM (SELECT id, ends FROM tidings.tickets WHERE generation <= 0 ORDER BY generation LIMIT ${DELETE_MAX_TICKETS}) unused WHERE ends <= (SELECT now FROM past))) RETURNING id)
      UPDATE tidings.ticket_state SET changes = changes + 1, held = held - g.count FROM (SELECT count(*) AS count FROM gone) g WHERE ${isNewest('ticket_state')} AND g.count > 0;
    WITH made AS (
        INSERT INTO tidings.tickets (id, generation, ends, until, guarded, digest, owner, session, origin, topics)
        SELECT ${literal(id)}, 0, least(n.now + ${FIRST_USE_MS}, ${until}), ${until}, false, ${bytea(digest)}, ${owner}, ${literalOrNull(session)}, ${literal(originText(origin))}, ${literal(JSON.stringify(topics))}
        FROM (SELECT ${NOW} AS now) n
        WHERE ${LEVEL} >= ${TICKETS_LEVEL} AND (SELECT s.held FROM ${STATE} s) < ${MAX_TICKETS}
          AND (SELECT count(*) FROM (SELECT FROM tidings.tickets WHERE owner = ${owner} AND ends > n.now LIMIT ${OWNER_MAX_TICKETS}) live) < ${OWNER_MAX_TICKETS}
        ON CONFLICT (id) DO NOTHING RETURNING id)
      UPDATE tidings.ticket_state SET changes = changes + 1, held = held + m.count FROM (SELECT count(*) AS count FROM made) m WHERE ${isNewest('ticket_state')} AND m.count > 0;
    SELECT (SELECT ${TICKET} FROM tidings.tickets t WHERE t.id = ${literal(id)} AND t.digest = ${bytea(digest)}), EXISTS (SELECT FROM tidings.tickets WHERE id = ${literal(id)}),
      ${LEVEL}, ${STANDBY}`;
}

/** @throws LevelTooLow */
function madeIn([made, isThere, level]: Row): TicketRecord | undefined {
  requireLevel(wholeNumber(level), TICKETS_LEVEL);
  if (made !== null && made !== undefined) return ticketIn(JSON.parse(made));
  if (isThere === 't') throw idTaken('ticket');
  return undefined;
}

function useCall(uses: readonly TicketUse[]): string {
  const asked = `unnest(${strings(uses.map(({ id }) => id))}, ${strings(uses.map(({ digest }) => Buffer.from(digest).toString('hex')))}, ${booleans(uses.map(({ hasPosition }) => hasPosition))}) WITH ORDINALITY`;
  return `${LOCK}
    WITH next AS MATERIALIZED (
        SELECT n.now, n.server, s.generation + CASE WHEN s.server IN ('', n.server) THEN 0 ELSE ${LOST_MAX_VERSIONS} END AS generation
        FROM ${STATE} s, (SELECT ${NOW} AS now, tidings.session_server() AS server) n),
      due AS MATERIALIZED (
        SELECT t.id, t.generation AS before, next.generation + row_number() OVER (ORDER BY a.number) AS generation
        FROM next, ${asked} a (id, digest, positioned, number) JOIN tidings.tickets t ON t.id = a.id AND t.digest = decode(a.digest, 'hex')
        WHERE t.ends > next.now AND (a.positioned OR NOT t.guarded)),
      used AS (UPDATE tidings.tickets t SET generation = due.generation, ends = least(t.until, next.now + ${RETURN_MS}) FROM due, next WHERE t.id = due.id),
      moved AS (UPDATE tidings.ticket_state s SET changes = s.changes + 1, generation = next.generation + d.count, server = next.server FROM next, (SELECT count(*) AS count FROM due) d WHERE s.${isNewest('ticket_state')} AND d.count > 0)
    SELECT (SELECT json_agg(json_build_array(due.id, due.generation, due.before)) FROM due), ${STANDBY}`;
}

function usedIn([used]: Row, uses: readonly TicketUse[]): readonly (UsedTicket | undefined)[] {
  const found = new Map(listIn(used).map((one) => {
    const [id, generation, before] = partsOf(one);
    return [textIn(id), { generation: numberIn(generation), before: numberIn(before) }];
  }));
  return uses.map(({ id }) => found.get(id));
}

function keepCall(kept: readonly KeptTicket[]): string {
  return `${LOCK}
    UPDATE tidings.tickets t SET ends = least(t.until, ${NOW} + ${RETURN_MS}), guarded = t.guarded OR k.guarded
    FROM unnest(${strings(kept.map(({ id }) => id))}, ${numbers(kept.map(({ generation }) => generation), 'bigint')}, ${booleans(kept.map(({ isGuarded }) => isGuarded))}) k (id, generation, guarded)
    WHERE t.id = k.id AND t.generation = k.generation;
    SELECT ${STANDBY}`;
}

function usesIn([newest, uses]: Row): TicketUses {
  return {
    newest: wholeNumber(newest),
    uses: listIn(uses).map((use) => {
      const [id, generation] = partsOf(use);
      return { id: textIn(id), generation: numberIn(generation) };
    }),
  };
}

function renewCall({ id, generation, origin, session, until = NEVER_MS }: TicketRenewal): string {
  return `${LOCK}
    WITH renewed AS (UPDATE tidings.tickets SET ends = least(${until}, ${NOW} + ${RETURN_MS}), until = ${until}, session = ${literalOrNull(session)}, origin = ${literal(originText(origin))}
      WHERE id = ${literal(id)} AND generation = ${generation} RETURNING id)
    SELECT (SELECT count(*) FROM renewed), ${STANDBY}`;
}

function ticketIn(ticket: unknown): TicketRecord {
  const [id, generation, ends, until, guarded, digest, session, origin, topics] = partsOf(ticket);
  return ticketRecord({
    id: textIn(id), generation: numberIn(generation), ends: numberIn(ends), until: numberIn(until), guarded: flagIn(guarded), digest: digestIn(digest), session: textOrNull(session), origin: textIn(origin), topics: textIn(topics),
  });
}
